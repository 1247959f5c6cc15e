"""The code of docs/api.md runs, on a toy subject."""

import re
from pathlib import Path

import pytest
import torch

from avatar.gaussians.avatar_file import Avatar, save_avatar
from avatar.gaussians.model import RiggedGaussians
from tests.rigs import toy_rig
from tests.scenes import SIZE, moving_params, write_scene

PAGE = Path(__file__).resolve().parents[2] / "docs/api.md"


def test_the_code_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = toy_rig()
    for folder in ("rigs", "anna/avatar"):
        (tmp_path / "results" / folder).mkdir(parents=True)
    for name in ("anny", "toy"):  # the page's subject has rig anny, the test's has toy
        rig.save(tmp_path / f"results/rigs/{name}.npz")
    write_scene(tmp_path / "results/anna/dataset.h5", rig)
    gaussians = RiggedGaussians.on_faces(len(rig.faces))
    save_avatar(tmp_path / "results/anna/avatar", Avatar(gaussians, moving_params(rig, 6), {}))
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        exec(compile(block, str(PAGE), "exec"), names)
    assert names["rgb"].shape[1:] == (128, 128, 3)
    assert names["image"].shape == (SIZE, SIZE, 3)
    assert names["frame"].image.shape == (16, 16, 3)
    assert names["output"].rgb.shape == (1, SIZE, SIZE, 3)
    assert names["output"].alpha.shape == (1, SIZE, SIZE, 1)
    assert float(names["output"].alpha.max()) > 0.5, "the head is in view"
    own, _ = names["trained"].pose(rig, 0)
    assert not torch.equal(own, names["verts"]), "the brows are raised"
