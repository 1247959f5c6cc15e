"""Sections as Markdown, LaTeX and HTML. What would be markup in a text is escaped.

The same sections give the same bytes.
"""

import re
from collections.abc import Callable, Sequence
from functools import cache
from html import escape

from avatar.base import html as pages
from pipeline.evaluate.page import BEST, SECOND, Cell, Section

_LONG = 60  # characters; a longer cell is broken into lines
_NUMBER = re.compile(r"NA|[-+]?[\d.]+(e[-+]?\d+)?")
_MARKDOWN = str.maketrans(
    {character: f"\\{character}" for character in "\\|`*[]~$"}
    | {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
)
_LATEX = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {
        "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
        "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
        "`": r"\textasciigrave{}", "'": r"\textquotesingle{}",
        "[": "{[}", "]": "{]}", "*": "{*}",  # after a line's end these would be its argument
    }
)  # fmt: skip
_STYLE = """body { max-width: 80rem; }
h1, h2 { margin: 1rem 0 .4rem; }
p { max-width: 50rem; color: var(--quiet); }
div { overflow-x: auto; }
table { width: auto; }
th, td { padding: .2rem .6rem; white-space: nowrap; }
th { background: var(--card); }
.r { text-align: right; }
.w { white-space: normal; min-width: 20rem; overflow-wrap: anywhere; }
"""


def markdown(sections: Sequence[Section]) -> str:
    """A page of Markdown; the second best value is in `<ins>`, which is shown underlined."""
    lines: list[str] = []
    for level, section in enumerate(sections):
        lines += [f"{'##' if level else '#'} {section.title}", ""]
        lines += [line for text in section.text for line in (text, "")]
        if section.header:
            head = [_markdown(Cell(name)) for name in section.header]
            rows = [[_markdown(cell) for cell in row] for row in section.rows]
            lines += [_piped(head), "|" + " --- |" * len(head), *map(_piped, rows), ""]
    return "\n".join(lines)


def _piped(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _markdown(cell: Cell) -> str:
    return _marked(cell.mark, _markdown_text(cell.text), "**{}**", "<ins>{}</ins>")


@cache  # most cells of a large table are those of other rows
def _markdown_text(text: str) -> str:
    return text.translate(_MARKDOWN)


def latex(sections: Sequence[Section]) -> str:
    """Floats with booktabs' rules, to `\\input` into a document."""
    lines = [r"% Needs \usepackage{booktabs}."]
    for section in sections:
        caption = " ".join([f"{section.title}.", *section.text])
        caption = _with_code(caption, _latex_text, r"\texttt{{{}}}")
        if not section.header:
            lines += ["", f"% {' '.join(section.text)}"]
            continue
        kinds = {"": "l", "r": "r", "w": r"p{.5\linewidth}"}
        columns = "".join(kinds[kind] for kind in _kinds(section))
        lines += ["", r"\begin{table}", r"\centering", rf"\caption{{{caption}}}"]
        lines += [rf"\begin{{tabular}}{{{columns}}}", r"\toprule"]
        lines += [_ended([Cell(name) for name in section.header]), r"\midrule"]
        lines += map(_ended, section.rows)
        lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}"]
    return "\n".join([*lines, ""])


def _ended(cells: Sequence[Cell]) -> str:
    marked = (
        _marked(cell.mark, _latex_text(cell.text), r"\textbf{{{}}}", r"\underline{{{}}}")
        for cell in cells
    )
    return " & ".join(marked) + r" \\"


@cache
def _latex_text(text: str) -> str:
    return re.sub("-(?=-)", "-{}", text.translate(_LATEX))  # two would be joined to a dash


def html(sections: Sequence[Section]) -> str:
    """A page of its own that asks for nothing: no script, no request."""
    lines: list[str] = []
    for level, section in enumerate(sections):
        heading = "h2" if level else "h1"
        lines.append(f"<{heading}>{escape(section.title)}</{heading}>")
        lines += (f"<p>{_with_code(text, escape, '<code>{}</code>')}</p>" for text in section.text)
        if section.header:
            kinds = [f" class={kind}" if kind else "" for kind in _kinds(section)]
            label = escape(section.title)
            lines.append(f'<div tabindex="0" role="region" aria-label="{label}"><table><thead>')
            lines.append(_row("th", kinds, [Cell(name) for name in section.header]))
            lines.append("</thead><tbody>")
            lines += (_row("td", kinds, row) for row in section.rows)
            lines.append("</tbody></table></div>")
    return pages.document(sections[0].title, pages.theme() + _STYLE, "\n".join(lines))


def _row(tag: str, kinds: Sequence[str], cells: Sequence[Cell]) -> str:
    filled = (
        f"<{tag}{kind}>{_marked(cell.mark, _html_text(cell.text), '<b>{}</b>', '<u>{}</u>')}"
        for kind, cell in zip(kinds, cells, strict=True)
    )
    return "<tr>" + "".join(filled)


@cache
def _html_text(text: str) -> str:
    return escape(text)


def _kinds(section: Section) -> list[str]:
    """Of each column: `r` for numbers, `w` for long text, or nothing."""
    kinds = []
    for cells in zip(*section.rows, strict=True):
        texts = [cell.text for cell in cells]
        if all(map(_NUMBER.fullmatch, texts)):
            kinds.append("r")
        else:
            kinds.append("w" if max(map(len, texts)) > _LONG else "")
    return kinds


def _marked(mark: str, text: str, best: str, second: str) -> str:
    return {BEST: best, SECOND: second}[mark].format(text) if mark else text


def _with_code(text: str, escaped: Callable[[str], str], code: str) -> str:
    """A paragraph whose odd parts, between backticks, are code."""
    parts = [escaped(part) for part in text.split("`")]
    return "".join(code.format(part) if k % 2 else part for k, part in enumerate(parts))
