"""The report as one HTML file: no script, no request (Content-Security-Policy).

Sections and texts are data (`contents.yaml`); a section's `block` names one of `blocks.BLOCKS`.
"""

from avatar.base import html
from pipeline.common.text import shown
from pipeline.report.blocks import BLOCKS, PACKAGE, Detail, Report, contents, text

# Pictures are stored as finely as the file may be large: the first of these that fits.
DETAILS = (Detail(480, 95), Detail(480, 80), Detail(320, 70), Detail(200, 50))


def page(report: Report, detail: Detail = DETAILS[0]) -> str:
    """The whole file; every text of the record is escaped."""
    sections = contents()["sections"]
    notice = contents()["states"].get(report.record.state, "")
    values = {
        "subject": text(report.record.subject),
        "notice": f'<p class="notice">{notice}</p>' if notice else "",
        "links": "".join(
            f'<li><a href="#{part["block"]}">{part["title"]}</a></li>' for part in sections
        ),
        "sections": "\n".join(
            f'<section id="{part["block"]}"><h2>{part["title"]}</h2>'
            f'<p class="caption">{part["caption"]}</p>{BLOCKS[part["block"]](report, detail)}'
            "</section>"
            for part in sections
        ),
    }
    return html.document(
        f"{shown(report.record.subject)} – headsplat report",
        html.theme() + html.read(PACKAGE, "report.css"),
        html.fill(html.read(PACKAGE, "report.html"), values),
        "img-src data:; media-src data:",
    )
