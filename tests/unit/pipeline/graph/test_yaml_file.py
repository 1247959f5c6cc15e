"""YAML that a user writes."""

import time
from pathlib import Path

import pytest

from avatar.base.errors import UserError
from pipeline.graph.yaml_file import read_mapping


def _written(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "config.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_plain_values_are_read(tmp_path: Path) -> None:
    text = "rig: anny\nday: 2024-01-01\ntrain: {seed: 3, rates: [1.0, null, true]}\n"
    assert read_mapping(_written(tmp_path, text)) == {
        "rig": "anny",
        "day": "2024-01-01",
        "train": {"seed": 3, "rates": [1.0, None, True]},
    }


_BOMB = "a: &a [x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 8)}]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.fault("M12")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("# only words\n", "is empty"),
        ("- a\n- b\n", "expected settings as `key: value`, got a list"),
        ("plain words\n", "got a str"),
        ("train:\n\tseed: 1\n", "line 2: .*indent with spaces, not with a tab"),
        ("rig: anny\nrig: flame\n", "line 2: rig is given twice: keep one"),
        ("train:\n  seed: 1\n  seed: 2\n", "line 3: seed is given twice"),
        (_BOMB, r"line 2: \*a refers to another place"),
        ("<<: {rig: anny}\na: *b\n", r"line 2: \*b refers"),
        ("a: [" * 1, "line "),
        ("a: " + "[" * 5000 + "]" * 5000, "more than 32 levels of nesting"),
        ("a: !!python/object/apply:os.system [id]\n", "line 1: could not determine a constructor"),
        ("a: 1\n---\nb: 2\n", "line 2: but found another document"),
        ("a: " + "9" * 5000, "is no YAML"),
        ("a: 'open\n", "found unexpected end of stream"),
        ("gr\xf6\xdfe: 1\n".encode("latin-1"), "line 1 is not UTF-8"),
        ("? [a, b]\n: 1\n", "line 1: found unhashable key"),
        ("a: \x07\n", "is no YAML"),
    ],
)
def test_a_mistake_gets_one_line_soon(tmp_path: Path, text: str | bytes, message: str) -> None:
    start = time.monotonic()
    with pytest.raises(UserError, match=message) as caught:
        read_mapping(_written(tmp_path, text))
    assert time.monotonic() - start < 5
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
