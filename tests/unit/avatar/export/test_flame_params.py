"""`flame_param.npz` beside the PLY, read by a reader written from the documented layout."""

from pathlib import Path

import numpy as np
import pytest
import torch

from avatar.export import flame_params, ply
from avatar.export.flame_params import save_flame_params
from avatar.gaussians.binding import face_frames
from avatar.rig import HeadRig, RigParams
from pipeline.rigs.flame import bake
from tests import flames
from tests.gaussians import random_gaussians
from tests.scenes import moving_params

STEPS = 3


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> HeadRig:
    made, _ = bake.bake(flames.save_npz(tmp_path_factory.mktemp("flame") / "flame.npz"))
    return made


def _params(rig: HeadRig, offset: float) -> RigParams:
    params = moving_params(rig, STEPS)
    generator = torch.Generator().manual_seed(3)
    params.shape[:] = torch.randn(rig.num_shape, generator=generator) * 0.3
    params.static_offset[:, 1] = offset * rig.v_template[:, 1]  # stretched: joints would move
    params.expr *= 0.3
    params.neck_shift[:] = 0
    params.soft_offset[:] = 0
    return params


def _read(folder: Path, timestep: int) -> np.ndarray:
    """FLAME's vertices at a timestep, as the layout's description says."""
    arrays = np.load(folder / flame_params.NAME)
    moved = {
        name: arrays[name][timestep].astype(np.float64)
        for name in ("expr", "rotation", "neck_pose", "jaw_pose", "eyes_pose")
    }
    static = arrays["static_offset"][0, : flames.SKIN + 2 * flames.BALL]
    assert (arrays["dynamic_offset"][timestep] == 0).all()
    verts = flames.vertices(arrays["shape"], static_offset=static, **moved)
    return verts + arrays["translation"][timestep]


@pytest.mark.fault("4.4")
def test_the_folder_loads_by_the_documented_layout(rig: HeadRig, tmp_path: Path) -> None:
    params = _params(rig, offset=0.0)
    gaussians = random_gaussians(len(rig.faces))
    rest = face_frames(rig.rest(params.shape, torch.zeros(100)), rig.faces).quat
    ply.save_ply(tmp_path / ply.NAME, gaussians, rest)
    save_flame_params(tmp_path / flame_params.NAME, rig, params)
    arrays = np.load(tmp_path / flame_params.NAME)
    shapes = {name: arrays[name].shape for name in arrays.files}
    verts, faces = 5143, 10144  # with teeth
    assert shapes == {
        "shape": (300,),
        "expr": (STEPS, 100),
        "eyes_pose": (STEPS, 6),
        **dict.fromkeys(("rotation", "neck_pose", "jaw_pose", "translation"), (STEPS, 3)),
        "static_offset": (1, verts, 3),
        "dynamic_offset": (STEPS, verts, 3),
    }
    assert all(arrays[name].dtype == np.float32 for name in arrays.files)
    table = ply.ply_table(gaussians, rest)
    binding = table[:, -1].astype(int)
    assert sorted(binding) == list(range(faces))
    # Their mesh carries the Gaussians to the places where ours carries them.
    skin = binding < 9976
    for timestep in range(STEPS):
        posed = rig(**params.poses(torch.tensor([timestep])))[0]
        theirs = torch.tensor(_read(tmp_path, timestep), dtype=torch.float32)
        assert (posed[: len(theirs)] - theirs).abs().max() < 1e-5
        frames = face_frames(theirs, torch.as_tensor(flames.flame_arrays()["f"].astype(np.int64)))
        mean = torch.tensor(table[skin, :3])
        size = frames.scale[binding[skin], None]
        turned = (frames.rotation[binding[skin]] @ mean[..., None]).squeeze(-1)
        world = gaussians.activate(posed, rig.faces).means[skin]
        assert (size * turned + frames.origin[binding[skin]] - world).abs().max() < 1e-4


@pytest.mark.fault("4.4")
def test_static_offsets_leave_the_head_in_place(rig: HeadRig, tmp_path: Path) -> None:
    """FLAME's joints move with the offset, this rig's do not: the translation makes up for it."""
    params = _params(rig, offset=0.05)
    params.jaw_pose[:] = 0
    params.eyes_pose[:] = 0
    params.neck_pose *= 4
    save_flame_params(tmp_path / flame_params.NAME, rig, params)
    head = rig.skin_weights[: flames.SKIN, 1] == 1  # only the neck's joint carries it
    plain = np.load(tmp_path / flame_params.NAME)["translation"] - params.translation.numpy()
    assert np.abs(plain).max() > 1e-4
    for timestep in range(STEPS):
        ours = rig(**params.poses(torch.tensor([timestep])))[0][: flames.SKIN][head].numpy()
        theirs = _read(tmp_path, timestep)[: flames.SKIN][head.numpy()]
        assert np.abs(ours - theirs).max() < 1e-5


def test_a_shifted_neck_leaves_the_head_in_place(rig: HeadRig, tmp_path: Path) -> None:
    """FLAME's neck joint stays in its torso: the torso follows the head instead."""
    params = _params(rig, offset=0.0)
    params.neck_shift[:] = torch.tensor([0.01, -0.02, 0.005])
    save_flame_params(tmp_path / flame_params.NAME, rig, params)
    head, torso = (rig.skin_weights[: flames.SKIN, joint] == 1 for joint in (1, 0))
    for timestep in range(STEPS):
        ours = rig(**params.poses(torch.tensor([timestep])))[0][: flames.SKIN].numpy()
        theirs = _read(tmp_path, timestep)[: flames.SKIN]
        assert np.abs(ours - theirs)[head.numpy()].max() < 1e-5
        away = np.linalg.norm((theirs - ours)[torso.numpy()], axis=1)
        np.testing.assert_allclose(away, np.sqrt(0.01**2 + 0.02**2 + 0.005**2), atol=1e-5)


def test_soft_offsets_are_the_dynamic_ones(rig: HeadRig, tmp_path: Path) -> None:
    """Metres, of the mesh before posing."""
    params = _params(rig, offset=0.0)
    for name in ("expr", "rotation", "neck_pose", "jaw_pose", "eyes_pose", "translation"):
        getattr(params, name)[:] = 0
    params.soft_offset[1] = 0.001 * torch.arange(params.soft_offset.shape[1])
    save_flame_params(tmp_path / flame_params.NAME, rig, params)
    dynamic = np.load(tmp_path / flame_params.NAME)["dynamic_offset"]
    rest, moved = (rig(**params.poses(torch.tensor([timestep])))[0] for timestep in (0, 1))
    assert np.abs(dynamic[1] - (moved - rest).numpy()).max() < 1e-6
    assert np.abs(dynamic[1]).max() > 0.05
    assert not dynamic[0].any()
