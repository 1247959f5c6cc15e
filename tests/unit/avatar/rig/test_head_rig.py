import numpy as np
import pytest
import torch

from avatar.base.errors import UserError
from avatar.rig import HeadRig
from avatar.rig.controls import CONTROLS
from avatar.rig.head_rig import EYE_L, JAW, ROOT
from avatar.rig.rotations import axis_angle_to_matrix
from tests.rigs import EYE_CENTRES, EYE_RADIUS, HEAD_RADII, NECK, toy_rig

POSES = {
    "rotation": 3, "neck_pose": 3, "jaw_pose": 3, "eyes_pose": 6, "translation": 3, "neck_shift": 3,
    "soft_offset": 3 * CONTROLS,
}  # fmt: skip


def parameters(rig: HeadRig, *batch: int, **given: list[float]) -> dict[str, torch.Tensor]:
    dtype = rig.v_template.dtype
    sizes = {"shape": rig.num_shape, "expr": rig.num_expr, **POSES}
    return {
        name: torch.tensor(given[name], dtype=dtype)
        if name in given
        else torch.zeros(*batch, size, dtype=dtype)
        for name, size in sizes.items()
    }


def random_parameters(rig: HeadRig, *batch: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return {
        name: 0.3 * torch.randn(value.shape, generator=generator, dtype=value.dtype)
        for name, value in parameters(rig, *batch).items()
    }


def test_at_rest_it_is_the_template():
    rig = toy_rig()
    torch.testing.assert_close(rig(**parameters(rig)), rig.v_template)


def test_top_of_the_skull_by_hand():
    """Stretched 2 x 5 % along y, lifted by 1 cm: 0.11 * 1.1 + 0.01."""
    rig = toy_rig()
    top = int(rig.v_template[:, 1].argmax())
    verts = rig(**parameters(rig, shape=[0.0, 2.0, 0.0], translation=[0.0, 0.01, 0.0]))
    torch.testing.assert_close(verts[top], torch.tensor([0.0, HEAD_RADII[1] * 1.1 + 0.01, 0.0]))


def test_neck_pose_by_hand():
    """A quarter turn about y at the neck joint: (x, y, z) - neck -> (z, y, -x) + neck."""
    rig = toy_rig()
    top = int(rig.v_template[:, 1].argmax())
    verts = rig(**parameters(rig, neck_pose=[0.0, np.pi / 2, 0.0]))
    arm = torch.tensor([0.0, HEAD_RADII[1], 0.0]) - torch.tensor(NECK)
    expected = torch.stack([arm[2], arm[1], -arm[0]]) + torch.tensor(NECK)
    torch.testing.assert_close(verts[top], expected)


def test_neck_shift_by_hand():
    """The head moves rigidly, in the axes of a torso turned by 90 degrees; the torso stays."""
    rig = toy_rig()
    still = {"rotation": [0.0, np.pi / 2, 0.0], "jaw_pose": [0.2, 0.0, 0.0]}
    plain, shifted = (
        rig(**parameters(rig, **still, neck_shift=shift))
        for shift in ([0.0, 0.0, 0.0], [0.01, 0.02, 0.03])
    )
    head, torso = rig.skin_weights[:, ROOT] == 0, rig.skin_weights[:, ROOT] == 1
    assert head.any()
    assert torso.any()
    expected = torch.tensor([0.03, 0.02, -0.01]).expand(int(head.sum()), 3)
    torch.testing.assert_close((shifted - plain)[head], expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(shifted[torso], plain[torso])


def test_control_points_that_move_together_carry_the_head_in_its_own_axes():
    """1, 2, 3 cm at rest is 3, 2, -1 cm after a quarter turn about y."""
    rig = toy_rig()
    turned = {"rotation": [0.0, np.pi / 2, 0.0]}
    plain, moved = (
        rig(**parameters(rig, **turned, soft_offset=offset * CONTROLS))
        for offset in ([0.0, 0.0, 0.0], [0.01, 0.02, 0.03])
    )
    expected = torch.tensor([0.03, 0.02, -0.01]).expand(rig.num_verts, 3)
    torch.testing.assert_close(moved - plain, expected, rtol=0, atol=1e-6)


def test_a_soft_offset_is_a_static_one_by_the_weights_of_its_point():
    rig = toy_rig(torch.float64)
    given = random_parameters(rig)
    shift = torch.zeros(CONTROLS, 3, dtype=torch.float64)
    shift[7] = torch.tensor([0.01, -0.02, 0.03])
    soft = rig(**(given | {"soft_offset": shift.flatten()}))
    given["soft_offset"] = torch.zeros(3 * CONTROLS, dtype=torch.float64)
    static = rig(**given, static_offset=rig.control_weights[:, 7:8] * shift[7])
    torch.testing.assert_close(soft, static)


def test_eyes_turn_about_their_own_centres_and_the_left_is_first():
    rig = toy_rig()
    verts = rig(**parameters(rig, eyes_pose=[0.0, 0.3, 0.0, 0.0, 0.0, 0.0]))
    left = rig.skin_weights[:, EYE_L] == 1
    assert left.any()
    assert not torch.allclose(verts[left], rig.v_template[left])
    distance = (verts[left] - torch.tensor(EYE_CENTRES[0])).norm(dim=1)
    torch.testing.assert_close(distance, torch.full_like(distance, EYE_RADIUS))
    torch.testing.assert_close(verts[~left], rig.v_template[~left])


def test_jaw_pose_about_x_lowers_the_chin():
    rig = toy_rig()
    moved = rig(**parameters(rig, jaw_pose=[0.3, 0.0, 0.0])) - rig.v_template
    chin = int(rig.skin_weights[:, JAW].argmax())
    assert moved[chin, 1] < -0.005
    assert moved[rig.skin_weights[:, JAW] == 0].abs().max() < 1e-6


def test_root_and_translation_move_everything_rigidly():
    """Axiom: turning the root joint is a rigid motion about it of whatever shape is posed."""
    rig = toy_rig(torch.float64)
    still = random_parameters(rig)
    still["rotation"] = torch.zeros(3, dtype=torch.float64)
    still["translation"] = torch.zeros(3, dtype=torch.float64)
    turn = torch.tensor([0.4, -0.8, 0.2], dtype=torch.float64)
    shift = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)
    moved = rig(**(still | {"rotation": turn, "translation": shift}))
    root = rig.joints(still["shape"])[0]
    expected = (rig(**still) - root) @ axis_angle_to_matrix(turn).T + root + shift
    torch.testing.assert_close(moved, expected)


def test_expressions_are_linear_and_static_offsets_are_added_before_posing():
    rig = toy_rig(torch.float64)
    zero, half, full = (rig(**parameters(rig, expr=[0.0, k, 0.0, 0.0])) for k in (0.0, 0.5, 1.0))
    torch.testing.assert_close(half - zero, (full - zero) / 2)
    offset = torch.full((rig.num_verts, 3), 0.01, dtype=torch.float64)
    shifted = rig(**parameters(rig), static_offset=offset)
    torch.testing.assert_close(shifted, rig.v_template + 0.01)


def test_pose_blendshapes_follow_the_rotation_feature():
    """One column of posedirs: row 2, column 1 of the jaw's matrix, the sine of its opening."""
    rig = toy_rig(torch.float64)
    posedirs = torch.zeros(rig.num_verts, 3, 36, dtype=torch.float64)
    posedirs[:, 2, (JAW - 1) * 9 + 7] = 0.01
    rig.posedirs = posedirs
    plain = toy_rig(torch.float64)
    opened = parameters(rig, jaw_pose=[0.3, 0.0, 0.0])
    still = rig.skin_weights[:, JAW] == 0
    difference = (rig(**opened) - plain(**opened))[still]
    expected = torch.zeros_like(difference)
    expected[:, 2] = 0.01 * np.sin(0.3)
    torch.testing.assert_close(difference, expected)


def test_one_shape_serves_a_batch_of_timesteps():
    rig = toy_rig(torch.float64)
    batch = random_parameters(rig, 2, 3)
    batch["shape"] = batch["shape"][0, 0]
    verts = rig(**batch)
    assert verts.shape == (2, 3, rig.num_verts, 3)
    one = {name: v if name == "shape" else v[1, 2] for name, v in batch.items()}
    torch.testing.assert_close(verts[1, 2], rig(**one))


def test_gradients():
    rig = toy_rig(torch.float64)
    few = torch.arange(0, rig.num_verts, 29)
    names = list(parameters(rig))
    values = [random_parameters(rig)[name].requires_grad_() for name in names]

    def verts(*arguments: torch.Tensor) -> torch.Tensor:
        return rig(**dict(zip(names, arguments, strict=True)))[few]

    assert torch.autograd.gradcheck(verts, values)


def test_gradient_at_rest_is_finite():
    rig = toy_rig()
    given = {name: value.requires_grad_() for name, value in parameters(rig).items()}
    rig(**given).square().sum().backward()
    for name, value in given.items():
        assert torch.isfinite(value.grad).all(), name


def test_landmarks_lie_on_their_triangles():
    rig = toy_rig()
    points = rig.landmarks.points(rig.v_template, rig.faces)
    torch.testing.assert_close(points, rig.v_template[rig.faces[rig.landmarks.faces]].mean(1))


def test_save_and_load(tmp_path):
    rig = toy_rig()
    rig.save(tmp_path / "toy.npz")
    again = HeadRig.load(tmp_path / "toy.npz")
    assert again.sha256 == rig.sha256
    assert again.expr_names == rig.expr_names
    assert again.masks.keys() == rig.masks.keys()
    values = random_parameters(rig, 4)
    torch.testing.assert_close(again(**values), rig(**values), rtol=0, atol=0)
    torch.testing.assert_close(again.landmarks.spread, rig.landmarks.spread)


def full_rig() -> HeadRig:
    """The toy rig with every optional tensor."""
    rig = toy_rig()
    optional = {
        "posedirs": torch.full((rig.num_verts, 3, 36), 1e-4),
        "joint_exprdirs": torch.full((5, 3, rig.num_expr), 1e-4),
        "joint_regressor": torch.full((5, rig.num_verts), 1 / rig.num_verts),
    }
    return HeadRig("toy", rig.tensors() | optional, rig.expr_names, rig.masks, rig.landmarks)


@pytest.mark.fault("4.3")
def test_hash_covers_every_tensor_and_name():
    """Of each array one value changes; kind and shape alone count too."""
    expected = full_rig().sha256
    names = list(full_rig().arrays())
    assert {"posedirs", "joint_regressor", "mask_neck", "landmark_response"} < set(names)
    for name in names:
        changed = full_rig()
        array = changed.arrays()[name].reshape(-1)  # shares the tensor's memory
        array[0] = ~array[0] if array.dtype == bool else array[0] + 1
        assert changed.sha256 != expected, name
    rig = full_rig()
    named = HeadRig("toy", rig.tensors(), rig.expr_names[::-1], rig.masks, rig.landmarks)
    flat = full_rig()
    flat.uv = flat.uv.reshape(-1, 1)
    for other in (named, full_rig().double(), flat):
        assert other.sha256 != expected
    assert full_rig().sha256 == expected


@pytest.mark.fault("4.3")
def test_saving_keeps_the_hash(tmp_path):
    full_rig().save(tmp_path / "toy.npz")
    assert HeadRig.load(tmp_path / "toy.npz").sha256 == full_rig().sha256


def test_a_missing_or_broken_file_is_the_users_error(tmp_path):
    with pytest.raises(UserError, match="bake it"):
        HeadRig.load(tmp_path / "none.npz")
    (tmp_path / "bad.npz").write_text("nonsense")
    with pytest.raises(UserError, match="bake it again"):
        HeadRig.load(tmp_path / "bad.npz")


def test_wrong_shapes_are_refused():
    rig = toy_rig()
    tensors = rig.tensors()
    tensors["skin_weights"] = tensors["skin_weights"][:, :4]
    with pytest.raises(ValueError, match="skin_weights"):
        HeadRig("toy", tensors, rig.expr_names, rig.masks)


def test_all_of_it_moves_to_a_device():
    """`meta` stands in for a GPU: what stayed on the CPU would not mix with it."""
    rig = toy_rig().to("meta")
    values = {name: value.to("meta") for name, value in random_parameters(rig, 2).items()}
    values["static_offset"] = torch.zeros(rig.num_verts, 3, device="meta")
    verts = rig(**values)
    assert (verts.device.type, verts.shape) == ("meta", (2, rig.num_verts, 3))
    assert rig.landmarks.points(verts, rig.faces).shape == (2, 42, 3)
    assert verts[:, rig.faces[:, 0]].device.type == "meta"
    assert {mask.device.type for mask in rig.masks.values()} == {"meta"}


def test_precision_changes_but_not_what_masks_and_indices_are():
    rig = toy_rig().double()
    assert rig.landmarks.barycentric.dtype == rig.v_template.dtype == torch.float64
    assert rig.landmarks.faces.dtype == rig.faces.dtype == torch.int64
    assert rig.masks["neck"].dtype == torch.bool
    assert rig.head_radius == pytest.approx(toy_rig().head_radius)


@pytest.mark.parametrize("keep", [0, 100, 5000, -1000], ids=str)
def test_a_damaged_file_is_the_users_to_mend(keep, tmp_path):
    path = tmp_path / "toy.npz"
    toy_rig().save(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"toy\.npz is not a rig's npz file .*: bake it"):
        HeadRig.load(path)
