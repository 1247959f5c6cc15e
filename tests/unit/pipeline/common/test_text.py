"""Small text files, and text for a terminal."""

import os
from pathlib import Path

import pytest

from avatar.base.errors import UserError
from pipeline.common.text import LIMIT, read_text, shown


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_an_encoding_with_its_mark_is_read(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "file"
    path.write_bytes("größe: 1\r\nrig: anny\rend".encode(encoding))
    assert read_text(path) == "größe: 1\nrig: anny\nend"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a: 1\nb: gr\xf6\xdfe\n", r"line 2 is not UTF-8 \(byte 0xf6\): save the file as UTF-8"),
        ("a: 1".encode("utf-16-le"), "NUL characters.*save the file as UTF-8"),
        (b"x" * (LIMIT + 1), "longer than 256 KiB"),
    ],
)
def test_another_encoding_gets_one_line(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(UserError, match=message):
        read_text(path)


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "."):
        with pytest.raises(UserError, match="is no plain file"):
            read_text(tmp_path / name)
    with pytest.raises(UserError, match="is missing"):
        read_text(tmp_path / "none")


@pytest.mark.fault("L6")
def test_what_is_shown_is_one_plain_line() -> None:
    assert shown("größe  a\nb\x1b[31mred\x07") == "größe a b\\x1b[31mred\\x07"
    assert shown("a\u202eb\udcff") == "a\\u202eb\\udcff"
    assert len(shown("x" * 5000)) == 400
