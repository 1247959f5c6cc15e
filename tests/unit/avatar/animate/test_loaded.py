"""An avatar that is loaded from its files, posed by name and rendered to NumPy."""

from pathlib import Path

import numpy as np
import pytest
import torch

import avatar
from avatar.animate.loaded import WHITE, HeadAvatar, to_bytes
from avatar.base.errors import UserError
from avatar.gaussians.avatar_file import Avatar, save_avatar
from avatar.gaussians.basis import ExpressionSpace
from avatar.gaussians.model import RiggedGaussians
from avatar.render import render
from avatar.rig import HeadRig
from tests.scenes import moving_params


def write_subject(results: Path, rig: HeadRig, name: str = "anna") -> Path:
    """`results/<name>` with a grey avatar whose colours follow the expression, and its rig."""
    (results / "rigs").mkdir(parents=True, exist_ok=True)
    rig.save(results / f"rigs/{rig.name}.npz")
    params = moving_params(rig, 12)
    gaussians = RiggedGaussians.on_faces(len(rig.faces), opacity=0.9, basis=2, scale=0.5)
    gaussians.basis_colors.normal_(generator=torch.Generator().manual_seed(0))
    space = ExpressionSpace.fit(params, torch.arange(4), 2)
    folder = results / name / "avatar"
    folder.mkdir(parents=True)
    save_avatar(folder, Avatar(gaussians, params, {}, space))
    return results / name


@pytest.fixture
def loaded(rig: HeadRig, tmp_path: Path) -> HeadAvatar:
    return avatar.load(write_subject(tmp_path, rig))


def test_a_batch_is_its_timesteps_one_by_one(loaded: HeadAvatar) -> None:
    views = loaded.front((32, 24), 12)
    found = list(loaded.frames(loaded.recorded, views, (0.2, 0.4, 0.6)))
    assert [len(rgb) for rgb, _ in found] == [8, 4]
    rgb, alpha = (torch.cat(parts) for parts in zip(*found, strict=True))
    one = views._replace(viewmats=views.viewmats[0], Ks=views.Ks[0])
    for step in (0, 7, 11):
        with torch.no_grad():
            _, gaussians = loaded.avatar.pose(loaded.rig, step)
            expected = render(gaussians, one, torch.tensor([0.2, 0.4, 0.6]))
        torch.testing.assert_close(rgb[step], expected.rgb[0].clamp(0, 1), atol=1e-5, rtol=0)
        torch.testing.assert_close(alpha[step], expected.alpha[0], atol=1e-5, rtol=0)


def test_a_pose_by_name_changes_the_picture_where_it_should(loaded: HeadAvatar) -> None:
    assert "browInnerUp" in loaded.expressions
    neutral = loaded.render(loaded.pose(), size=(48, 48))
    assert neutral.shape == (1, 48, 48, 3)
    assert neutral.dtype == np.uint8
    assert (neutral[0, 0, 0] == 255).all(), "white behind"
    raised = loaded.render(loaded.pose(browInnerUp=1.0), size=(48, 48))
    changed = np.abs(raised.astype(int) - neutral).max((0, 3))
    assert changed.max() > 10
    np.testing.assert_array_equal(neutral, loaded.render(loaded.pose(), size=(48, 48)))


def test_the_head_turns_and_the_torso_rests(loaded: HeadAvatar) -> None:
    turned = loaded.pose(head=(0.0, 0.4, 0.0))
    still = loaded.pose()
    torch.testing.assert_close(turned.rotation, still.rotation)
    torch.testing.assert_close(turned.translation, still.translation)
    assert float((turned.neck_pose - still.neck_pose)[0, 1]) == pytest.approx(0.4, abs=0.05)


def test_mistakes_are_user_errors(loaded: HeadAvatar, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'smile' is not an expression"):
        loaded.pose(smile=1.0)
    with pytest.raises(UserError, match="train the subject first"):
        avatar.load(tmp_path / "nobody")
    (tmp_path / "rigs/toy.npz").unlink()
    with pytest.raises(UserError, match=r"rigs/toy\.npz"):
        avatar.load(tmp_path / "anna")


def test_another_rig_is_refused(loaded: HeadAvatar, tmp_path: Path) -> None:
    other = HeadRig.load(tmp_path / "rigs/toy.npz")
    other.v_template += 0.001
    other.save(tmp_path / "rigs/other.npz")
    with pytest.raises(UserError, match="was made with rig toy"):
        avatar.load(tmp_path / "anna", rig=tmp_path / "rigs/other.npz")


@pytest.mark.gpu
def test_a_gpu_renders_what_the_cpu_renders(loaded: HeadAvatar, tmp_path: Path) -> None:
    on_gpu = avatar.load(tmp_path / "anna", "cuda")
    one, other = (a.render(a.pose(), size=(48, 48)).astype(int) for a in (loaded, on_gpu))
    assert np.abs(one - other).max() <= 2  # of 255: rounding, and one Gaussian at the cut-off


def test_threads_and_small_batches_give_the_same_frames(
    loaded: HeadAvatar, monkeypatch: pytest.MonkeyPatch
) -> None:
    views = loaded.front((32, 24), 12)
    one = np.concatenate(
        list(loaded.mapped(loaded.recorded, views, WHITE, lambda rgb, _: to_bytes(rgb)))
    )
    monkeypatch.setattr("avatar.animate.loaded.BATCH_PIXELS", 2 * 32 * 24)
    found = list(loaded.mapped(loaded.recorded, views, WHITE, lambda rgb, _: to_bytes(rgb), 3))
    assert [len(batch) for batch in found] == [2] * 6
    assert np.abs(np.concatenate(found).astype(int) - one).max() <= 1  # rounding
