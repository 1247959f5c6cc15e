"""`rasterize` and `render`: one is the other with types, backends are chosen by device."""

import pytest
import torch

from avatar.render import RenderOutput, Views, WorldGaussians, default_device, rasterize, render
from tests.unit.avatar.render.scenes import random_scene, to_dtype


def scene(**changes):
    return to_dtype(random_scene(5, 16, 12, degree=1), torch.float32) | changes


def test_render_is_rasterize_with_types():
    arguments = scene(backgrounds=None)
    gaussians = WorldGaussians(
        *(arguments[k] for k in ("means", "quats", "scales", "opacities", "colors")), sh_degree=1
    )
    views = Views(arguments["viewmats"], arguments["Ks"], 16, 12)
    background = torch.tensor([0.1, 0.2, 0.3])
    output = render(gaussians, views, background)
    assert isinstance(output, RenderOutput)
    arguments["backgrounds"] = background[None]
    images, alphas, info = rasterize(**arguments)
    assert torch.equal(output.rgb, images)
    assert torch.equal(output.alpha, alphas)
    assert torch.equal(output.radii, info["radii"])
    assert torch.equal(output.means2d, info["means2d"])
    black = rasterize(**arguments | {"backgrounds": None})[0]
    assert torch.equal(render(gaussians, views).rgb, black)


def test_a_lower_degree_uses_fewer_coefficients():
    arguments = scene(sh_degree=0)
    colors = arguments["colors"].requires_grad_()
    rasterize(**arguments)[0].sum().backward()
    assert colors.grad[:, 0].abs().sum() > 0
    assert (colors.grad[:, 1:] == 0).all()


def test_a_backend_that_does_not_render_the_device_is_refused():
    expected = "backend: 'metal' cannot render cpu tensors; use cpu, reference"
    with pytest.raises(ValueError, match=expected):
        rasterize(**scene(), backend="metal")


def test_the_device_is_cuda_where_torch_sees_one():
    assert (default_device().type == "cuda") == torch.cuda.is_available()
