import os
from pathlib import Path

import pytest

from avatar.base import names
from avatar.base.errors import UserError
from pipeline.capture.foreign import clean, read_object


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        ("EMO-1-shout+laugh", "EMO-1-shout_laugh"),
        ("EXP-2-eyes", "EXP-2-eyes"),
        ("__a b", "a_b"),
        ("ä", "main"),
        ("x" * 80, "x" * 64),
    ],
)
def test_names_become_ours(name: str, cleaned: str) -> None:
    assert clean(name) == cleaned
    assert names.is_name(cleaned)


@pytest.mark.fault("L1")
@pytest.mark.parametrize("text", ["", "{", "[]", "3", "[" * 100_000, '{"a": 1e', "\0", "\ufeff{}}"])
def test_what_is_no_object_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "t.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"t\.json: (not readable as JSON|expected frames)"):
        read_object(path, "frames")


@pytest.mark.fault("L7")
def test_a_named_pipe_and_a_folder_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "t.json")
    for path in (tmp_path / "t.json", tmp_path, tmp_path / "absent.json"):
        with pytest.raises(UserError, match="is not a plain file: expected frames"):
            read_object(path, "frames")


def test_an_object_is_read(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text('{"w": 3, "frames": []}')
    assert read_object(tmp_path / "t.json", "frames") == {"w": 3, "frames": []}
