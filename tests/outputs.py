"""What docs/outputs.md states of the files that a run leaves."""

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs/outputs.md"
SUBJECT = "results/<subject>/"
TABLES = "results/tables/"
_A_TABLE = r"`(\w+\.(?:csv|md|tex|html|\{[\w,]+\}))`"


def section(heading: str) -> str:
    """The text below a heading, up to the next one of any level."""
    text = PAGE.read_text(encoding="utf-8").replace("&lt;", "<").replace("&gt;", ">")
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, heading
    return found[1]


def rows(heading: str) -> dict[str, str]:
    """The table of a section: first column without its marks, to the second."""
    return dict(re.findall(r"^\| `?([^|`]+)`? \| (.*) \|$", section(heading), re.MULTILINE))


def listed() -> dict[str, re.Pattern[str]]:
    """Every file and folder of results that the page lists, with the paths that it stands for."""
    names = [SUBJECT + name for name in rows(SUBJECT) if name != "file" and name.strip("-")]
    names += re.findall(r"`(results/[^` ]+)`", section(SUBJECT))
    names += [TABLES + name for name in re.findall(_A_TABLE, section(TABLES))]
    return {one: _pattern(one) for name in names for one in _each(name)}


def _each(name: str) -> list[str]:
    """`{a,b}` stands for both: a run leaves every one."""
    found = re.search(r"\{([^}]*)\}", name)
    if found is None:
        return [name]
    before, after = name[: found.start()], name[found.end() :]
    return [one for part in found[1].split(",") for one in _each(before + part + after)]


def _pattern(name: str) -> re.Pattern[str]:
    """`<x>` stands for any name, a folder for all that is in it."""
    parts = (
        "[^/]+" if part.startswith("<") else re.escape(part) for part in re.split(r"(<\w+>)", name)
    )
    return re.compile("".join(parts) + (".+" if name.endswith("/") else ""))


def words(text: str) -> set[str]:
    """The names in the code spans of a text, without shapes such as `[T,3]`."""
    spans = " ".join(re.findall(r"`([^`]*)`", text))
    return set(re.findall(r"[A-Za-z]\w*", re.sub(r"\[[^]]*\]", "", spans)))
