"""A folder that is replaced: the former one stays until its successor is whole."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from avatar.base import folders
from avatar.base.folders import replacing


def _names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("exchange", [True, False], ids=["exchange", "two renames"])
def test_the_new_one_takes_the_place_of_the_former(
    tmp_path: Path, exchange: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not exchange:  # as on file systems without renameat2
        monkeypatch.setattr(folders, "_exchange", lambda one, other: False)
    for content in ("first", "second"):
        with replacing(tmp_path / "avatar") as new:
            (new / content).write_text(content)
        assert _names(tmp_path) == ["avatar", f"avatar/{content}"]


@pytest.mark.fault("4.2")
def test_a_failure_leaves_the_former_one(tmp_path: Path) -> None:
    with replacing(tmp_path / "avatar") as new:
        (new / "file").write_text("former")

    def fail() -> None:
        with replacing(tmp_path / "avatar") as new:
            (new / "file").write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert (tmp_path / "avatar/file").read_text() == "former"
    assert _names(tmp_path) == ["avatar", "avatar/file"]


@pytest.mark.fault("4.2")
def test_a_killed_writer_leaves_the_former_one_and_its_rest_is_removed(tmp_path: Path) -> None:
    (tmp_path / "avatar").mkdir()
    (tmp_path / "avatar/file").write_text("former")
    code = (
        "import os, sys; from pathlib import Path; from avatar.base.folders import replacing\n"
        "with replacing(Path(sys.argv[1])) as new:\n"
        "    (new / 'file').write_text('half'); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "avatar"], env=os.environ)
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / "avatar/file").read_text() == "former"
    with replacing(tmp_path / "avatar") as new:
        assert not list(new.iterdir())
    assert _names(tmp_path) == ["avatar"]
