from pathlib import Path

import pytest

from tests import mirror

SOURCE = '''def one(x):
    """A docstring
    of two lines."""
    # a comment

    text = """two
    lines"""
    return x, text


class A:
    def two(self): return 1
'''


def write(root: Path, name: str, text: str = "x = 1\n") -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_module_needs_its_test_and_a_test_its_module(tmp_path: Path) -> None:
    for name in ("__init__", "__main__", "cut", "sew"):
        write(tmp_path, f"pipeline/cloth/{name}.py")
    for name in ("main", "cut", "fold"):
        write(tmp_path, f"tests/unit/pipeline/cloth/test_{name}.py")
    assert list(mirror.unmirrored(tmp_path)) == [
        "pipeline/cloth/sew.py has no tests/unit/pipeline/cloth/test_sew.py",
        "tests/unit/pipeline/cloth/test_fold.py tests no module of that name",
    ]


def test_lines_of_code_by_hand() -> None:
    assert dict(mirror.function_sizes(SOURCE)) == {"one": 3, "two": 1}


def test_sizes_over_the_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "avatar/a.py", SOURCE)
    write(tmp_path, "tests/b.py", "x = 1\n" * 20)
    assert list(mirror.too_large(tmp_path)) == []
    for name, limit in {"MOST_LINES": 19, "MOST_CODE": 2, "MEDIAN_LINES": 11}.items():
        monkeypatch.setattr(mirror, name, limit)
    assert list(mirror.too_large(tmp_path)) == [
        "avatar/a.py: one has 3 lines of code, at most 2",
        "tests/b.py has 20 lines, at most 19",
        "the median file has 12 lines, at most 11",
    ]


def test_avoided_words_are_named_with_their_line(tmp_path: Path) -> None:
    write(tmp_path, "a.md", "good\nMend it and recommend it\n")
    write(tmp_path, "b.png", "mend")
    write(tmp_path, "CHANGELOG.md", "mend")
    names = ["a.md", "b.png", "CHANGELOG.md", "absent.md"]
    assert list(mirror.avoided_words(tmp_path, names)) == ["a.md:2: 'Mend'"]
