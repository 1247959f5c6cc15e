from dataclasses import replace

import numpy as np
import torch

from avatar.data.layout import Tables
from avatar.rig import HeadRig
from pipeline.track.external.assemble import Part, flame_params
from pipeline.track.external.flame import AVATARS, FlameRows
from pipeline.track.solve import rotations
from tests.rigs import toy_rig


def rows(rig: HeadRig, count: int, seed: int) -> FlameRows:
    """Random poses of one person, in the convention of GaussianAvatars."""
    rng = np.random.default_rng(seed)
    angles = {"neck_pose": 3, "jaw_pose": 3, "eyes_pose": 6}
    return FlameRows(
        kind=AVATARS, shape=np.array([0.5, -0.5, 0.2]), scale=1.0, remarks=(),
        static_offset=np.zeros((rig.num_verts, 3)), expr=rng.random((count, rig.num_expr)),
        turn=rotations.exp(rng.normal(0, 0.2, (count, 3))),
        translation=rng.normal(0, 0.1, (count, 3)),
        **{name: rng.normal(0, 0.1, (count, size)) for name, size in angles.items()},
    )  # fmt: skip


def tables(*lengths: int) -> Tables:
    names = np.repeat([f"s{k}" for k in range(len(lengths))], lengths)
    index = np.concatenate([np.arange(length) for length in lengths])
    whole = np.arange(len(names))
    sizes = np.array([[32, 32]])
    return Tables(["0"], sizes, names, index, index / 25, np.zeros_like(whole), whole)


def vertices(rig: HeadRig, given: FlameRows) -> np.ndarray:
    """The rig's vertices for rows whose root joint turns."""
    poses = {
        "shape": given.shape, "expr": given.expr, "rotation": rotations.log(given.turn),
        "neck_pose": given.neck_pose, "jaw_pose": given.jaw_pose, "eyes_pose": given.eyes_pose,
        "translation": given.translation,
    }  # fmt: skip
    return rig(**{k: torch.from_numpy(np.float32(v)) for k, v in poses.items()}).numpy()


def test_a_part_in_another_world_is_carried_into_the_cameras() -> None:
    rig = toy_rig()
    world = np.eye(4)
    world[:3, :3] = rotations.exp(np.array([0.3, -0.2, 0.5]))
    world[:3, 3] = 0.4, -0.1, 0.2
    given = rows(rig, 3, 0)
    remarks: list[str] = []
    part = Part("s0", given, np.arange(3), world)
    params, scale = flame_params(rig, [part], tables(3), remarks)
    expected = vertices(rig, given) @ world[:3, :3].T + world[:3, 3]
    posed = rig(**params.poses(torch.arange(3))).numpy()
    np.testing.assert_allclose(posed, expected, atol=1e-5)
    assert (scale, remarks) == (1.0, [])


def test_timesteps_without_a_row_take_the_nearest_and_are_not_valid() -> None:
    rig = toy_rig()
    given = rows(rig, 2, 1)
    part = Part("s0", given, np.array([1, 4]), np.eye(4))
    params, _ = flame_params(rig, [part], tables(6), [])
    assert params.valid.tolist() == [False, True, False, False, True, False]
    nearest = np.float32(given.jaw_pose)[[0, 0, 0, 1, 1, 1]]
    np.testing.assert_allclose(params.jaw_pose.numpy(), nearest, atol=1e-6)


def test_one_person_has_the_first_sequences_identity() -> None:
    rig = toy_rig()
    first = rows(rig, 2, 2)
    other = replace(rows(rig, 2, 3), shape=np.array([-1.0, 0.5, 1.0]))
    parts = [
        Part(f"s{k}", r, np.arange(2) + 2 * k, np.eye(4)) for k, r in enumerate((first, other))
    ]
    remarks: list[str] = []
    params, _ = flame_params(rig, parts, tables(2, 2), remarks)
    np.testing.assert_allclose(params.shape.numpy(), first.shape, atol=1e-6)
    assert len(remarks) == 1
    assert remarks[0].startswith("sequence s1 has another identity, by up to")
