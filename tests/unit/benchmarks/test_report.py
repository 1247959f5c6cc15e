import subprocess
import sys
from pathlib import Path

import pytest

from avatar.base.errors import UserError
from benchmarks import report

PAGE = """# Speed

<!-- benchmark: ssim; commit: 0123abc; files: a.py b; command: python -m x --write -->
| old |
<!-- /benchmark -->
<!-- benchmark: ssim_long -->
<!-- /benchmark -->
"""


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    done = subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two commits: the first has a.py and b.py, the second changes a.py."""
    monkeypatch.setattr(report, "ROOT", tmp_path)
    git(tmp_path, "init", "--quiet")
    for text in ("1", "2"):
        (tmp_path / "a.py").write_text(text)
        (tmp_path / "b.py").write_text("1")
        git(tmp_path, "add", "-A")
        git(tmp_path, "commit", "--quiet", "-m", text)
    return tmp_path


def test_blocks_of_a_page() -> None:
    first, second = report.blocks(PAGE)
    assert (first.kind, first.name, first.body) == ("benchmark", "ssim", "| old |\n")
    assert first.fields == {
        "commit": "0123abc",
        "files": "a.py b",
        "command": "python -m x --write",
    }
    assert second.fields == {}


def test_replaced_text_stands_in_its_own_block_only() -> None:
    new = report.replace(PAGE, report.Block("benchmark", "ssim_long", {"commit": "f"}, "| \\1 |\n"))
    first, second = report.blocks(new)
    assert first.body == "| old |\n"
    assert (second.body, second.fields) == ("| \\1 |\n", {"commit": "f"})
    with pytest.raises(UserError, match="no block 'none'"):
        report.replace(PAGE, report.Block("benchmark", "none", {}, ""))


def test_table_by_hand() -> None:
    assert report.table(["a", "b"], [[1, "x"]]) == "| a | b |\n|---|---|\n| 1 | x |"


def test_a_table_is_old_when_a_later_commit_changes_its_files(repository: Path) -> None:
    first, second = git(repository, "rev-list", "--reverse", "HEAD").split()

    def problem(commit: str, files: str) -> str:
        fields = {"commit": commit, "files": files, "command": "python -m x"}
        return report.problem(report.Block("benchmark", "x", fields, ""))

    assert problem(second, "a.py") == ""
    assert problem(first, "b.py") == "", "only a.py changed since"
    assert "run 'python -m x'" in problem(first, "a.py b.py")
    assert "run 'python -m x'" in problem("0" * 40, "b.py"), "a commit of no history"
    assert "correct its files" in problem(second, "none.py")
    unmeasured = report.Block("benchmark", "x", {"command": "python -m y"}, "")
    assert report.problem(unmeasured) == "never measured: run 'python -m y'"


def test_publish_names_the_commit_and_refuses_uncommitted_code(repository: Path) -> None:
    page = repository / "page.md"
    page.write_text("<!-- benchmark: x -->\n<!-- /benchmark -->\n")
    report.publish("page.md", "x", "| 1 |", ["a.py"], write=True)
    (block,) = report.blocks(page.read_text())
    assert block.fields["commit"] == git(repository, "rev-parse", "--short", "HEAD")
    assert block.fields["machine"].endswith("cores")
    assert block.body.startswith("| 1 |\n\nMeasured 20")
    assert report.problem(block) == ""
    (repository / "a.py").write_text("3")
    with pytest.raises(UserError, match=r"a\.py has changes that are not committed"):
        report.publish("page.md", "x", "| 2 |", ["a.py"], write=True)
    report.publish("page.md", "x", "| 2 |", ["a.py"], write=False)
    assert "| 1 |" in page.read_text()


def test_a_shallow_clone_cannot_tell(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(report, "pages", lambda: [repository / "page.md"])
    monkeypatch.setattr(sys, "argv", ["report"])
    (repository / "page.md").write_text(PAGE)
    assert report.main() == 1
    assert "2 tables, 2 not current" in capsys.readouterr().out
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--depth", "1", f"file://{repository}", str(clone))
    monkeypatch.setattr(report, "ROOT", clone)
    assert report.main() == 0
    assert "cannot be told" in capsys.readouterr().out


def test_each_command_of_old_tables_is_run_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "count.py").write_text(
        "import sys\nwith open('runs', 'a') as file:\n    file.write(sys.argv[1])\n"
    )
    monkeypatch.setattr(report, "ROOT", tmp_path)
    commands = ["python -m count 0", "python -m count 1", "python -m count 0", ""]
    report.renew(report.Block("benchmark", "x", {"command": text}, "") for text in commands)
    assert (tmp_path / "runs").read_text() == "01"
