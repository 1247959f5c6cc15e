"""The tables' file formats: the same cells everywhere, and nothing in a text becomes markup."""

import re
from collections.abc import Callable, Sequence
from html.parser import HTMLParser

import pytest

from pipeline.evaluate.formats import html, latex, markdown
from pipeline.evaluate.page import BEST, SECOND, Cell, Section

HOSTILE = r"<script>x</script> 100% a_b & c#d $e$ {f} g^h ~i \input{j} |k| `l` [m](n) *o* p--q 'r'"
SECTIONS = [
    Section(
        "Metrics", ["Of `novel_view`, in dB."], ["subject", "psnr"],
        [[Cell("anna"), Cell("28.12", BEST)], [Cell("bert_2"), Cell("27.00", SECOND)]],
    ),
    Section("Failed", (), ["subject", "error"], [[Cell("[carl]"), Cell(HOSTILE)]]),
]  # fmt: skip


def test_markdown() -> None:
    lines = markdown(SECTIONS).splitlines()
    assert lines[:3] == ["# Metrics", "", "Of `novel_view`, in dB."]
    assert "| anna | **28.12** |" in lines
    assert "| bert_2 | <ins>27.00</ins> |" in lines
    assert "## Failed" in lines
    cells = re.split(r"(?<!\\)\|", lines[-1])
    assert len(cells) == 4  # no more columns than the header has
    assert "&lt;script&gt;" in lines[-1]
    assert r"\[m\](n)" in lines[-1]


def test_latex() -> None:
    text = latex(SECTIONS)
    assert r"\caption{Metrics. Of \texttt{novel\_view}, in dB.}" in text
    assert r"\begin{tabular}{lr}" in text
    assert "anna & \\textbf{28.12} \\\\\nbert\\_2 & \\underline{27.00} \\\\" in text
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == 2
    row = next(line for line in text.splitlines() if "carl" in line)
    assert row.startswith("{[}carl{]} & ")  # "[" after a line's end would be its argument
    body = row.removesuffix(r" \\").split(" & ", 1)[1]
    commands = set(re.findall(r"\\[a-z]+", body))
    assert commands == {
        r"\textless", r"\textgreater", r"\textasciicircum", r"\textasciitilde", r"\textbackslash",
        r"\textbar", r"\textasciigrave", r"\textquotesingle",
    }  # fmt: skip
    assert not re.search(r"(?<!\\)[&%$#_]", body)
    plain = re.sub(r"\\[{}]", "", body)
    assert plain.count("{") == plain.count("}")
    assert "p-{}-q" in body


def test_latex_has_balanced_environments_and_as_many_cells_as_columns() -> None:
    text = latex(SECTIONS)
    opened: list[str] = []
    columns = 0
    for line in text.splitlines():
        for kind, name in re.findall(r"\\(begin|end){(\w+)}", line):
            if kind == "begin":
                opened.append(name)
            else:
                assert opened.pop() == name
        if spec := re.search(r"\\begin{tabular}{(.*)}$", line):
            columns = len(re.findall(r"[lr]|p{[^}]*}", spec[1]))
        elif line.endswith(r" \\"):
            assert opened[-1] == "tabular"
            assert len(re.findall(r"(?<!\\)&", line)) == columns - 1
        assert line.count("{") - line.count(r"\{") == line.count("}") - line.count(r"\}"), line
    assert not opened
    assert columns == 2


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text: list[str] = []
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text.append(data.strip())


def test_html() -> None:
    page = html(SECTIONS)
    reader = _Reader()
    reader.feed(page)
    assert HOSTILE in reader.text
    assert [reader.tags.count(tag) for tag in ("h1", "h2", "table", "th", "tr", "td")] == [
        1, 1, 2, 4, 5, 6
    ]  # fmt: skip
    assert not {"script", "img", "iframe"} & set(reader.tags)
    assert not {"src", "onclick", "onerror"} & reader.attributes
    assert "http:" not in page
    assert "https:" not in page
    assert "<td class=r><b>28.12</b>" in page
    assert "<td class=r><u>27.00</u>" in page
    assert "<code>novel_view</code>" in page


@pytest.mark.parametrize("write", [markdown, latex, html])
def test_nothing_to_show_is_a_page_too(write: Callable[[Sequence[Section]], str]) -> None:
    text = write([Section("Metrics", ["No subject has been evaluated yet."])])
    assert "No subject has been evaluated yet." in text
    assert r"\begin{tabular}" not in text
    assert "<table" not in text
