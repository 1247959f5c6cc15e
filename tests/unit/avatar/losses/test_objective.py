"""The sum of all terms, worked by hand on an image of one colour."""

from dataclasses import replace

import pytest
import torch

from avatar.data.frames import Frames
from avatar.gaussians.camera_colors import identity
from avatar.gaussians.model import RiggedGaussians
from avatar.losses.objective import objective
from avatar.losses.settings import LossWeights
from avatar.render import RenderOutput

WEIGHTS = LossWeights(ssim=0.0, position=0.5, scale=2.0, opacity=3.0, alpha=4.0, camera_colors=5.0)


def _gaussians() -> RiggedGaussians:
    """Two: one of length 3 and size 1, opacity 0.5; one that is not visible."""
    gaussians = RiggedGaussians.on_faces(2, opacity=0.5)
    gaussians.means_local[0, 1] = 3.0
    gaussians.means_local[1] = 100.0
    gaussians.log_scales[0] = torch.tensor([1.0, 0.1, 0.1]).log()
    return gaussians


def _output() -> RenderOutput:
    image = torch.full((1, 1, 12, 12, 3), 0.5)
    radii = torch.tensor([[[[2, 3], [0, 0]]]], dtype=torch.int32)
    alpha = torch.full((1, 1, 12, 12, 1), 0.75)
    return RenderOutput(image, alpha, torch.zeros(1, 1, 2, 2), radii)


def _truth() -> Frames:
    return Frames(torch.full((1, 1, 12, 12, 3), 0.3), torch.full((1, 1, 12, 12, 1), 1.0))


def test_every_term_by_hand() -> None:
    colors = identity(1)[None].clone()  # [1, 1, 3, 4]
    colors[..., 3] = 0.1
    white = torch.ones(1, 1, 3)
    found = objective(WEIGHTS, _output(), _truth(), white, _gaussians(), colors)
    # Over white at coverage 0.75 the offset adds 0.075: |0.575 - 0.3|.
    expected = {
        "l1": 0.275,
        "position": 0.5 * (3.0 - 1.0),
        "scale": 2.0 * 0.4,
        "opacity": 3.0 * 0.5,
        "alpha": 4.0 * 0.25,
        "camera_colors": 5.0 * 3 * 0.01 / 12,
    }
    for name, value in expected.items():
        assert found.values[name] == pytest.approx(value, rel=1e-5), name
    assert found.loss.item() == pytest.approx(sum(expected.values()), rel=1e-5)
    assert found.values["error"] == pytest.approx(0.275**2, rel=1e-5)
    assert found.values["visible"] == 1


def test_terms_without_weight_are_not_there() -> None:
    weights = replace(WEIGHTS, opacity=0.0, alpha=0.0)
    found = objective(weights, _output(), _truth(), torch.ones(1, 1, 3), _gaussians())
    assert set(found.values) == {"loss", "l1", "ssim", "position", "scale", "error", "visible"}
    assert found.loss.item() == pytest.approx(0.2 + 1.0 + 0.8, rel=1e-5)
