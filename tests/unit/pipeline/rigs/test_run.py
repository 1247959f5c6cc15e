from pathlib import Path

import pytest

from avatar.base.errors import UserError
from pipeline.rigs import run as stage
from pipeline.rigs.__main__ import main


def test_unknown_rig(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match=r"'nobody'.*anny"):
        stage.bake_rig("nobody", tmp_path / "x.npz")
    assert main(["--name", "nobody", "--out", str(tmp_path / "x.npz")]) == 2
    assert capsys.readouterr().err.startswith("error: no rig is called")
    assert not (tmp_path / "x.npz").exists()
