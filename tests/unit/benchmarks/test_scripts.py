"""Every script imports and builds its command line; none has a table without a place in docs/."""

import importlib
import re
import sys
from pathlib import Path

import pytest

from benchmarks import report

SCRIPTS = sorted(path.stem for path in (report.ROOT / "benchmarks").glob("[!_]*.py"))
# Hours, or clips that are not part of the repository: docs/quality.md says so.
WITHOUT_PLACE = {"ablation"}


@pytest.mark.parametrize("name", [name for name in SCRIPTS if name != "report"])
def test_help_of_each_script(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = importlib.import_module(f"benchmarks.{name}")
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as ended:
        module.main()
    assert ended.value.code == 0
    assert ("--write" in capsys.readouterr().out) == (name != "readme_picture")


def test_every_published_table_has_its_place() -> None:
    places = {block.name for page in report.pages() for block in report.blocks(page.read_text())}
    published = set()
    for name in SCRIPTS:
        text = Path(report.ROOT / "benchmarks" / f"{name}.py").read_text()
        published |= set(re.findall(r'publish\(\s*"docs/\w+\.md",\s*"(\w+)"', text))
    assert {"render_cpu", "matte", "faults"} <= published
    assert published - WITHOUT_PLACE <= places
