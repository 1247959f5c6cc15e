"""config/subjects.tsv as spreadsheets and editors write it."""

from pathlib import Path

import pytest

from avatar.base.errors import UserError
from pipeline.graph.subject_table import Row, read_subject_table

HEADER = "subject\tcapture\tgroup\trig\tpreset\n"
ANNA = {"anna": Row("anna", group="pilots", preset="paper")}


def _table(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "subjects.tsv"
    path.write_bytes(data)
    return path


@pytest.mark.fault("M7")
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_what_a_spreadsheet_writes_is_read(tmp_path: Path, encoding: str, end: str) -> None:
    text = HEADER + 'anna\t\t"pilots"\t\tpaper\t\t\t\n\t\t\t\t\n   \n\n'
    path = _table(tmp_path, text.replace("\n", end).encode(encoding))
    assert read_subject_table(path) == ANNA


@pytest.mark.fault("M7")
def test_the_table_is_optional_and_so_are_columns(tmp_path: Path) -> None:
    assert read_subject_table(tmp_path / "none.tsv") == {}
    assert read_subject_table(_table(tmp_path, b"")) == {}
    assert read_subject_table(_table(tmp_path, HEADER.encode())) == {}
    text = b"preset\tgroup\tsubject\npaper\tpilots\tanna\n"
    assert read_subject_table(_table(tmp_path, text)) == ANNA


@pytest.mark.fault("M7")
@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("anna\t\tM\xe4rz\t\t\n".encode("cp1252"), "line 2 is not UTF-8.*save the file as UTF-8"),
        (b'anna\t\t"pilots\t\t\nbert\t\t\t\t\n', "line 2: the quote in .* is left open"),
        (b'anna\t\tpilots"\t\t\nbert\t\t\t\t\n', "line 2: the quote in .* is left open"),
        (b"anna\t\t\t\t\tpaper\n", "line 2 has 6 cells, expected at most 5"),
        (b"anna\t\t\t\t\nanna\t\t\t\t\n", "anna is listed twice"),
        (b"\tclip.mp4\t\t\t\n", "line 2: subject name '' is not allowed"),
        (b"a;b\t\t\t\t\n", "line 2: subject name 'a;b' is not allowed"),
    ],
)
def test_a_mistake_names_its_line(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        read_subject_table(_table(tmp_path, HEADER.encode() + data))
    assert "\n" not in str(caught.value)


@pytest.mark.fault("M7")
@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("subject\tcapture\tgroup\tgroup\n", "the column group is there twice"),
        ("subject capture group\n", "put tabs between the columns"),
        ("subject,capture,group\n", "put tabs between the columns"),
        ("capture\tgroup\n", "expected the columns subject, .*, got capture, group"),
        ("subject\tpresset\n", "got subject, presset"),
        ("subject\t\x1b[31mgroup\n", r"got subject, \\x1b\[31mgroup"),
    ],
)
def test_other_columns_are_refused(tmp_path: Path, header: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_subject_table(_table(tmp_path, header.encode()))
