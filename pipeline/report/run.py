"""Write the report of a subject: results/<subject>/ -> results/<subject>/report.html.

Also its thumbnail for `results/index.html`.
"""

from pathlib import Path

from avatar.animate.loaded import HeadAvatar
from avatar.base import files
from avatar.base.errors import UserError
from avatar.data.dataset import Dataset
from avatar.export.subject import Subject
from pipeline.evaluate import index
from pipeline.evaluate.run import check_origin
from pipeline.report.blocks import Report
from pipeline.report.page import DETAILS, page
from pipeline.report.pictures import show_frames
from pipeline.report.record import read_record
from pipeline.report.sheets import contact_sheets
from pipeline.report.turntable import SIZE, turntable

NAME = "report.html"
LIMIT = 8_000_000  # bytes


def write_report(subject: str, results: Path, rig: Path | None = None) -> Path:
    """Write `results/<subject>/report.html` and return its path.

    Args:
        rig: the rig's npz file; that of the avatar in `results/rigs/` if None.
    Raises:
        UserError: the subject has no avatar or is not evaluated, or a file is damaged or of
            another avatar. The former report stays.
    """
    loaded = Subject.load(subject, results, rig)
    home, avatar = loaded.home, loaded.avatar
    with Dataset(home / "dataset.h5") as dataset:
        check_origin(avatar.about, dataset, home / "avatar")
        record = read_record(home, dataset)
        background = record.summary.get("background")
        if not isinstance(background, int | float) or not 0 <= background <= 1:
            raise UserError(
                f"{home}/eval/summary.json has no background: evaluate the subject again"
            )
        frames = show_frames(record.metrics, avatar, loaded.rig, dataset, background)
        sheets = contact_sheets(home, dataset)
    still = HeadAvatar(loaded.rig, avatar)
    front = still.render(still.pose(), SIZE)[0]
    report = Report(record, turntable(still, home), front, frames, sheets)
    text = fitting(report, home / NAME)
    index.save_picture(home / index.PICTURE, front)
    files.write_text(home / NAME, text)
    return home / NAME


def fitting(report: Report, path: Path, limit: int = LIMIT) -> str:
    """The page with pictures as fine as the limit (bytes) allows.

    Raises:
        UserError: it does not fit with the coarsest ones.
    """
    text = ""
    for detail in DETAILS:
        text = page(report, detail)
        if len(text.encode()) <= limit:
            return text
    record = report.record
    raise UserError(
        f"{path} would have {len(text.encode()) / 1e6:.1f} MB with the coarsest pictures, at most "
        f"{limit / 1e6:.1f}: {len(record.clips)} clips and "
        f"{sum(len(quality.messages) for quality in record.quality.values())} messages: join the "
        "clips of a sequence, or settle what the stages report"
    )
