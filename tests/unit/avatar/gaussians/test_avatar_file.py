"""An avatar's files: what is written is read, and what is damaged or foreign is never rendered."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from avatar.base.errors import UserError
from avatar.gaussians import avatar_file
from avatar.gaussians.avatar_file import Avatar, load_avatar, read_about, save_avatar
from avatar.gaussians.basis import ExpressionSpace
from avatar.rig import HeadRig, RigParams
from tests.gaussians import random_gaussians
from tests.scenes import moving_params

STEPS = 6


def _avatar(rig: HeadRig, seed: int = 0) -> Avatar:
    params = moving_params(rig, STEPS, seed)
    space = ExpressionSpace.fit(params, torch.arange(4), 2)
    gaussians = random_gaussians(len(rig.faces), seed=seed)
    return Avatar(gaussians, params, {"preset": {"name": "quick"}}, space)


@pytest.fixture
def folder(rig: HeadRig, tmp_path: Path) -> Path:
    (tmp_path / "train_log.csv").write_text("step\n1\n")
    save_avatar(tmp_path, _avatar(rig))
    return tmp_path


def _rewrite(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    """Change tensors, metadata unchanged: as damage, or another program, leaves them."""
    path = folder / "avatar.safetensors"
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    change(tensors)
    save_file(tensors, path, metadata)


def test_what_is_saved_is_loaded(folder: Path, rig: HeadRig) -> None:
    saved, read = _avatar(rig), load_avatar(folder, rig)
    for name, value in saved.gaussians.tensors().items():
        assert torch.equal(value, getattr(read.gaussians, name)), name
    assert saved.space is not None
    assert read.space is not None
    assert torch.equal(saved.space.axes, read.space.axes)
    assert torch.equal(saved.params.expr, read.params.expr)
    assert read.about["preset"]["name"] == "quick"
    assert read.about["schema_version"] == 3
    assert set(read.about["files_sha256"]) == {"rig_params.npz", "train_log.csv"}


def test_equal_avatars_have_equal_tensors_whatever_else_is_said(
    rig: HeadRig, tmp_path: Path
) -> None:
    about = []
    for name, date in (("one", "2026-01-01"), ("two", "2026-01-02")):
        (tmp_path / name).mkdir()
        save_avatar(tmp_path / name, replace(_avatar(rig), about={"date": date}))
        about.append(read_about(tmp_path / name))
    assert about[0] is not None
    assert about[1] is not None
    assert about[0]["date"] != about[1]["date"]
    assert about[0]["tensors_sha256"] == about[1]["tensors_sha256"]


@pytest.mark.fault("H12")
@pytest.mark.parametrize("name", ["means_local", "log_scales", "binding", "expression_space.axes"])
@pytest.mark.parametrize("bit", [1, 23, 30])
def test_one_flipped_bit_is_found(folder: Path, rig: HeadRig, name: str, bit: int) -> None:
    def flip(tensors: dict[str, torch.Tensor]) -> None:
        tensors[name].view(torch.int32).view(-1)[5] ^= 1 << bit

    _rewrite(folder, flip)
    with pytest.raises(UserError, match=r"damaged \(checksum of its tensors\): train the subject"):
        load_avatar(folder, rig)


BROKEN: dict[str, tuple[Callable[[dict[str, torch.Tensor]], None], str]] = {
    "binding": (lambda t: t["binding"].__setitem__(3, 10**6), "binding is 0..1000000"),
    "missing": (lambda t: t.pop("opacity_logits"), "not the tensors of Gaussians"),
    "no space": (lambda t: t.pop("expression_space.axes"), "has a basis of 2"),
    "space": (lambda t: t["expression_space.mean"].fill_(torch.nan), "mean holds NaN"),
}


@pytest.mark.fault("H12")
@pytest.mark.parametrize("kind", BROKEN)
def test_values_that_cannot_be_rendered_are_refused(
    rig: HeadRig, tmp_path: Path, kind: str
) -> None:
    """Also where the checksum is right: written by `save_avatar` from such tensors."""
    change, message = BROKEN[kind]
    save_avatar(tmp_path, _avatar(rig))
    _rewrite(tmp_path, change)
    path = tmp_path / "avatar.safetensors"
    with safe_open(path, framework="pt") as file:
        about = json.loads(file.metadata()["headsplat"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    about["tensors_sha256"] = avatar_file._tensors_sha256(tensors)
    text = json.dumps(about)
    save_file(tensors, path, {"headsplat": text, "sha256": avatar_file._text_sha256(text)})
    with pytest.raises(UserError, match=f"avatar.safetensors: .*{message}"):
        load_avatar(tmp_path, rig)


@pytest.mark.fault("H12")
@pytest.mark.parametrize("damage", ["cut", "text", "empty", "metadata", "schema", "folder"])
def test_a_damaged_file_is_one_line(folder: Path, rig: HeadRig, damage: str) -> None:
    path = folder / "avatar.safetensors"
    data = path.read_bytes()
    if damage == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "text":
        path.write_text("not tensors")
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "metadata":
        path.write_bytes(data.replace(b"quick", b"paper", 1))
    elif damage == "schema":
        path.write_bytes(data.replace(b'schema_version\\": 3', b'schema_version\\": 2', 1))
    else:
        path.unlink()
        path.mkdir()
    with pytest.raises(UserError, match=r"damaged|schema_version is 2|does not exist"):
        load_avatar(folder, rig)
    assert read_about(folder) is None


@pytest.mark.fault("H12")
def test_rig_parameters_of_another_subject_are_refused(
    folder: Path, rig: HeadRig, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    save_avatar(other, _avatar(rig, seed=1))
    (folder / "rig_params.npz").write_bytes((other / "rig_params.npz").read_bytes())
    with pytest.raises(UserError, match=r"rig_params.npz does not belong to .*avatar.safetensors"):
        load_avatar(folder, rig)
    assert read_about(folder) is None


@pytest.mark.fault("H12")
def test_every_file_of_an_avatar_belongs_to_it(folder: Path, rig: HeadRig) -> None:
    (folder / "train_log.csv").write_text("another run's")
    with pytest.raises(UserError, match=r"train_log\.csv does not belong to"):
        load_avatar(folder, rig)
    (folder / "train_log.csv").unlink()
    load_avatar(folder, rig)  # rendering does not need it
    assert read_about(folder) is None  # but the avatar is not complete
    (folder / "rig_params.npz").unlink()
    with pytest.raises(UserError, match=r"rig_params\.npz does not exist"):
        load_avatar(folder, rig)


@pytest.mark.fault("H12")
def test_rig_parameters_that_are_not_finite_or_of_another_rig_are_refused(
    rig: HeadRig, tmp_path: Path
) -> None:
    avatar = _avatar(rig)
    expr = avatar.params.expr.clone()
    expr[2, 0] = torch.nan
    save_avatar(tmp_path, replace(avatar, params=replace(avatar.params, expr=expr)))
    with pytest.raises(UserError, match="expr holds NaN"):
        load_avatar(tmp_path, rig)
    foreign: RigParams = replace(avatar.params, rig_sha256="0" * 64)
    save_avatar(tmp_path, replace(avatar, params=foreign))
    with pytest.raises(UserError, match="was made with rig toy"):
        load_avatar(tmp_path, rig)


def test_a_pose_is_the_rigs_and_its_gaussians_lie_on_it(folder: Path, rig: HeadRig) -> None:
    avatar = load_avatar(folder, rig)
    verts, world = avatar.pose(rig, 3)
    assert torch.equal(verts, rig(**avatar.params.poses(torch.tensor([3])))[0])
    centred = replace(avatar.gaussians, means_local=torch.zeros_like(avatar.gaussians.means_local))
    _, on_faces = replace(avatar, gaussians=centred, space=None).pose(rig, 3)
    centroids = verts[rig.faces[centred.binding]].mean(1)
    assert np.allclose(on_faces.means, centroids, atol=1e-6)
    assert not np.allclose(world.means, centroids, atol=1e-3)
