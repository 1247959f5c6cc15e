"""What may be passed to `rasterize` and `render`, and what is refused."""

import pytest
import torch

from avatar.render import RenderOutput, WorldGaussians, rasterize, render
from tests.unit.avatar.render.scenes import random_scene, to_dtype


def scene(**changes):
    return to_dtype(random_scene(5, 16, 12, degree=1), torch.float32) | changes


def test_render_is_rasterize_with_types():
    arguments = scene(backgrounds=None)
    gaussians = WorldGaussians(
        *(arguments[k] for k in ("means", "quats", "scales", "opacities", "colors")), sh_degree=1
    )
    camera = (arguments["viewmats"], arguments["Ks"], 16, 12)
    background = torch.tensor([0.1, 0.2, 0.3])
    output = render(gaussians, *camera, background, depth=True)
    assert isinstance(output, RenderOutput)
    arguments["backgrounds"] = background[None]
    images, alphas, info = rasterize(**arguments, depth=True)
    assert torch.equal(output.rgb, images)
    assert torch.equal(output.alpha, alphas)
    assert torch.equal(output.depth, info["depth"])
    assert torch.equal(output.radii, info["radii"])
    assert torch.equal(output.means2d, info["means2d"])
    assert render(gaussians, *camera).depth is None


def test_a_lower_degree_uses_fewer_coefficients():
    arguments = scene(sh_degree=0)
    colors = arguments["colors"].requires_grad_()
    rasterize(**arguments)[0].sum().backward()
    assert colors.grad[:, 0].abs().sum() > 0
    assert (colors.grad[:, 1:] == 0).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"means": torch.zeros(5, 2)}, r"means: expected \[..., N, 3\], got \[5, 2\]"),
        ({"means": torch.zeros(5, 3, dtype=torch.int64)}, "means: expected float32 or float64"),
        ({"quats": torch.zeros(5, 3)}, r"quats: expected shape \[5, 4\], got \[5, 3\]"),
        ({"scales": torch.zeros(4, 3)}, r"scales: expected shape \[5, 3\], got \[4, 3\]"),
        ({"opacities": torch.zeros(5, 1)}, r"opacities: expected shape \[5\], got \[5, 1\]"),
        ({"colors": torch.zeros(5, 3)}, r"colors: expected shape \[5, "),
        ({"sh_degree": 2}, "colors: sh_degree 2 needs 9 coefficients, got 4"),
        ({"sh_degree": 4}, r"sh_degree: expected 0\.\.3, got 4"),
        ({"sh_degree": None}, r"colors: expected shape \[5, 3\], got \[5, 4, 3\]"),
        ({"viewmats": torch.eye(4)}, r"viewmats: expected \[C, 4, 4\], got \[4, 4\]"),
        ({"Ks": torch.zeros(2, 3, 3)}, r"Ks: expected shape \[1, 3, 3\], got \[2, 3, 3\]"),
        ({"backgrounds": torch.zeros(3)}, r"backgrounds: expected shape \[1, 3\], got \[3\]"),
        ({"width": 0}, "width: expected an int above 0, got 0"),
        ({"height": 2.5}, "height: expected an int above 0, got 2.5"),
        ({"quats": torch.zeros(5, 4).double()}, "quats: expected torch.float32 like means"),
        ({"Ks": torch.zeros(1, 3, 3).requires_grad_()}, "Ks: gets no gradient"),
        ({"viewmats": torch.zeros(1, 4, 4).requires_grad_()}, "viewmats: gets no gradient"),
        ({"backend": "metal"}, "backend: 'metal' cannot render cpu tensors; use cpu, reference"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        rasterize(**scene(**changes))


def test_cpu_backend_is_float32():
    with pytest.raises(ValueError, match="means: backend 'cpu' expects float32"):
        rasterize(**random_scene(5, 16, 12), backend="cpu")
