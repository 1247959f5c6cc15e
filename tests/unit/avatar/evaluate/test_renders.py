from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from avatar.data.dataset import Dataset
from avatar.evaluate.pixels import Pairs
from avatar.evaluate.protocols import PROTOCOLS
from avatar.evaluate.renders import as_driven, protocol_rows, render_rows
from avatar.evaluate.scores import score_frame
from avatar.gaussians.avatar_file import Avatar
from avatar.gaussians.model import RiggedGaussians, color_to_sh
from avatar.rig import HeadRig, RigParams
from tests.scenes import paint

REFINED = "self_reenactment_refined"
WHITE = np.ones(3, np.float32)


def _painted_avatar(rig: HeadRig, dataset: Dataset) -> Avatar:
    """Opaque Gaussians in the true colours: the scene, but for its sharpness."""
    gaussians = RiggedGaussians.on_faces(len(rig.faces), opacity=0.9)
    gaussians.log_scales[:] = torch.tensor([0.35, 0.02, 0.35]).log()  # flat on the surface
    colors = torch.tensor(paint(rig), dtype=torch.float32)[rig.faces].mean(1)
    gaussians.sh_dc[:, 0] = color_to_sh(colors)
    return Avatar(gaussians, dataset.params, {})


def test_protocols_are_the_splits(scene: Path) -> None:
    with Dataset(scene) as dataset:
        novel = protocol_rows(dataset, "novel_view")
        assert dataset.camera[novel].tolist() == [2] * 4
        assert dataset.timestep[novel].tolist() == [0, 1, 2, 3]
        held = protocol_rows(dataset, "self_reenactment")
        assert dataset.timestep[held].tolist() == [4] * 4 + [5] * 4
        assert dataset.camera[held].tolist() == [0, 1, 2, 3] * 2


def test_a_protocol_may_have_the_last_timesteps_only(
    scene: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PROTOCOLS, "head", replace(PROTOCOLS["head"], last=1))
    with Dataset(scene) as dataset:
        rows = protocol_rows(dataset, "head")
        assert dataset.timestep[rows].tolist() == [5] * 4


def test_refined_frames_are_the_test_frames_with_parameters_of_their_own(
    scene: Path, rig: HeadRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[int]] = []

    def moved(avatar: Avatar, _: HeadRig, __: Dataset, timesteps: np.ndarray) -> RigParams:
        asked.append(timesteps.tolist())
        return replace(avatar.params, translation=avatar.params.translation + 0.01)

    monkeypatch.setattr("avatar.evaluate.renders.refine_through", moved)
    with Dataset(scene) as dataset:
        avatar = _painted_avatar(rig, dataset)
        held, refined = (protocol_rows(dataset, name) for name in ("self_reenactment", REFINED))
        assert held.tolist() == refined.tolist()
        for protocol in PROTOCOLS.keys() - {REFINED}:
            assert as_driven(avatar, rig, dataset, protocol) is avatar
        assert asked == []
        driven = as_driven(avatar, rig, dataset, REFINED)
    assert asked == [[4, 5]]
    assert driven.gaussians is avatar.gaussians
    torch.testing.assert_close(driven.params.translation, avatar.params.translation + 0.01)


def test_the_true_avatar_renders_the_scene(scene: Path, rig: HeadRig) -> None:
    with Dataset(scene) as dataset:
        avatar = _painted_avatar(rig, dataset)
        rows = protocol_rows(dataset, "self_reenactment")
        frames = list(render_rows(avatar, rig, dataset, rows, WHITE))
        pairs = Pairs("all", rig, dataset.cameras, WHITE)
        assert [frame.row for frame in frames] == rows.tolist()
        for frame in frames:
            stored = (dataset.image(frame.row), dataset.alpha(frame.row), dataset.region(frame.row))
            scores = score_frame(pairs(frame, *stored, 0), {}).scores
            assert sorted(scores) == ["full", "mask"]
            assert scores["full"]["psnr"] > 18, frame.row
            assert abs(frame.coverage - stored[1] / 255).mean() < 0.05


def test_other_parameters_render_worse(scene: Path, rig: HeadRig) -> None:
    """The renderer is driven by the parameters, not by the frame's number."""
    with Dataset(scene) as dataset:
        avatar = _painted_avatar(rig, dataset)
        rows = protocol_rows(dataset, "self_reenactment")
        steps = np.arange(len(dataset.params))
        swapped = steps.copy()
        swapped[[4, 5]] = [5, 4]
        own, same, other = (
            [f.image for f in render_rows(avatar, rig, dataset, rows, WHITE, drivers)]
            for drivers in (None, steps, swapped)
        )
    assert all(np.array_equal(a, b) for a, b in zip(own, same, strict=True))
    assert all(np.abs(a - b).mean() > 1e-3 for a, b in zip(own, other, strict=True))
    # Driven by its neighbour's parameters, a frame is the neighbour's.
    assert np.array_equal(own[0], other[4])


def test_the_background_is_the_one_asked_for(scene: Path, rig: HeadRig) -> None:
    with Dataset(scene) as dataset:
        avatar = _painted_avatar(rig, dataset)
        colour = np.array([0.25, 0.5, 0.75], np.float32)
        (frame,) = render_rows(avatar, rig, dataset, np.array([0]), colour)
    assert frame.image[0, 0].tolist() == pytest.approx([0.25, 0.5, 0.75])
