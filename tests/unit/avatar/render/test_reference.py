"""The oracle: by hand, by finite differences, by pixel loops, and against gsplat's own formulas."""

import math

import pytest
import torch
from gsplat.cuda import _torch_impl as gsplat_formulas

from avatar.render import rasterize, reference
from avatar.render.types import Splats, Views
from tests.unit.avatar.render.scenes import GAUSSIANS, random_scene, to_dtype

FOCAL, SIZE = 100.0, 9


def small_scene(*gaussians: tuple[float, float, float], **changes):
    """Round Gaussians (depth, opacity, red) on the axis, two pixels wide, camera at the origin."""
    depths = torch.tensor([g[0] for g in gaussians], dtype=torch.float64)
    n = len(gaussians)
    zero = torch.zeros(n, dtype=torch.float64)
    eye = torch.eye(4, dtype=torch.float64)[None]
    intrinsics = [[FOCAL, 0.0, SIZE / 2], [0.0, FOCAL, SIZE / 2], [0.0, 0.0, 1.0]]
    scene = {
        "means": torch.stack([zero, zero, depths], -1),
        "quats": torch.tensor([[1.0, 0.0, 0.0, 0.0]], dtype=torch.float64).repeat(n, 1),
        "scales": (2.0 * depths / FOCAL)[:, None].repeat(1, 3),
        "opacities": torch.tensor([g[1] for g in gaussians], dtype=torch.float64),
        "colors": torch.tensor([[g[2], 0.5, 0.25] for g in gaussians], dtype=torch.float64),
        "viewmats": eye,
        "Ks": torch.tensor([intrinsics], dtype=torch.float64),
        "width": SIZE,
        "height": SIZE,
    }
    return scene | changes


@pytest.mark.parametrize(("backend", "dtype"), [("reference", "float64"), ("cpu", "float32")])
def test_one_gaussian_by_hand(backend, dtype):
    """Variance 2^2 + 0.3 px^2; the middle pixel's centre is the Gaussian's."""
    scene = to_dtype(small_scene((2.0, 0.8, 1.0)), getattr(torch, dtype))
    images, alphas, info = rasterize(**scene, backend=backend)
    assert images.shape == (1, SIZE, SIZE, 3)
    assert alphas.shape == (1, SIZE, SIZE, 1)
    assert alphas[0, 4, 4, 0].item() == pytest.approx(0.8, rel=1e-6)
    side = 0.8 * math.exp(-0.5 * 3.0**2 / 4.3)
    assert alphas[0, 4, 7, 0].item() == pytest.approx(side, rel=1e-6)
    assert alphas[0, 1, 4, 0].item() == pytest.approx(side, rel=1e-6)
    corner = 0.8 * math.exp(-(4.0**2) / 4.3)
    assert alphas[0, 0, 0, 0].item() == pytest.approx(corner, rel=1e-5)
    assert images[0, 4, 7].tolist() == pytest.approx([side, side / 2, side / 4], rel=1e-6)
    assert info["means2d"][0, 0].tolist() == pytest.approx([4.5, 4.5])
    reach = math.ceil(math.sqrt(2 * math.log(255 * 0.8) * 4.3))
    assert info["radii"].dtype == torch.int32
    assert info["radii"][0, 0].tolist() == [reach, reach]


@pytest.mark.parametrize(("backend", "dtype"), [("reference", "float64"), ("cpu", "float32")])
def test_two_gaussians_by_hand(backend, dtype):
    """The far one, given first, shows through the near one; the background through both."""
    background = torch.tensor([[0.0, 1.0, 0.0]], dtype=torch.float64)
    scene = small_scene((3.0, 0.5, 0.1), (2.0, 0.6, 0.9), backgrounds=background)
    scene = to_dtype(scene, getattr(torch, dtype))
    images, alphas, _ = rasterize(**scene, backend=backend)
    near, far, through = 0.6, 0.4 * 0.5, 0.4 * 0.5
    expected = [near * 0.9 + far * 0.1, (near + far) * 0.5 + through, (near + far) * 0.25]
    assert images[0, 4, 4].tolist() == pytest.approx(expected, rel=1e-6)
    assert alphas[0, 4, 4, 0].item() == pytest.approx(1 - through, rel=1e-6)


@pytest.mark.parametrize(("backend", "dtype"), [("reference", "float64"), ("cpu", "float32")])
def test_alpha_is_capped_and_a_pixel_ends(backend, dtype):
    """1 - 0.999 = 1e-3 is left after the first; the second would leave 1e-6 and is not taken."""
    scene = to_dtype(
        small_scene((2.0, 1.0, 1.0), (3.0, 1.0, 1.0), (4.0, 0.5, 1.0)), getattr(torch, dtype)
    )
    images, alphas, _ = rasterize(**scene, backend=backend)
    assert alphas[0, 4, 4, 0].item() == pytest.approx(0.999, rel=1e-6)
    assert images[0, 4, 4, 0].item() == pytest.approx(0.999, rel=1e-6)


@pytest.mark.parametrize("degree", [None, 3])
def test_gradcheck(degree):
    """Finite differences on a scene without caps and ends, where the renderer is not smooth."""
    scene = random_scene(3, 8, 7, degree=degree, seed=1)
    scene["opacities"] = torch.tensor([0.3, 0.5, 0.6], dtype=torch.float64)
    scene["scales"] = scene["scales"] * 8  # no pixel near the 1/255 threshold
    rest = {k: v for k, v in scene.items() if k not in GAUSSIANS}

    def render(*gaussians):
        images, alphas, info = rasterize(
            **dict(zip(GAUSSIANS, gaussians, strict=True)), **rest, backend="reference"
        )
        return images, alphas, info["means2d"]

    inputs = [scene[name].requires_grad_() for name in GAUSSIANS]
    assert torch.autograd.gradcheck(render, inputs, atol=1e-6)


def test_against_a_loop_over_pixels():
    """The same picture from the definition, one pixel and one Gaussian at a time."""
    scene = random_scene(30, 21, 13)
    images, alphas, info = rasterize(**scene, backend="reference")
    order = (scene["means"][:, 2]).argsort().tolist()
    covariances = [projected_covariance(scene, i) for i in range(30)]
    for y, x in [(0, 0), (6, 10), (6, 3), (12, 20), (2, 15)]:
        color, through = torch.zeros(3, dtype=torch.float64), 1.0
        for i in order:
            d = torch.tensor([x + 0.5, y + 0.5], dtype=torch.float64) - info["means2d"][0, i]
            power = 0.5 * (d @ torch.linalg.solve(covariances[i], d)).item()
            alpha = min(scene["opacities"][i].item() * math.exp(-power), 0.999)
            if alpha < 1 / 255:
                continue
            if through * (1 - alpha) <= 1e-4:
                break
            color += through * alpha * scene["colors"][i]
            through *= 1 - alpha
        color += through * scene["backgrounds"][0]
        torch.testing.assert_close(images[0, y, x], color)
        assert alphas[0, y, x, 0].item() == pytest.approx(1 - through)


def projected_covariance(scene, i: int) -> torch.Tensor:
    """J R S S^T R^T J^T + 0.3, with the projection's derivative taken by autograd."""
    focal, centre = scene["Ks"][0, 0, 0], scene["Ks"][0, :2, 2]
    shift = scene["viewmats"][0, :3, 3]

    def pixel(mean):
        camera = mean + shift
        return focal * camera[:2] / camera[2] + centre

    jacobian = torch.autograd.functional.jacobian(pixel, scene["means"][i])
    w, *v = (scene["quats"][i] / scene["quats"][i].norm()).tolist()
    v = torch.tensor(v, dtype=torch.float64)
    cross = torch.linalg.cross(torch.eye(3, dtype=torch.float64), v.expand(3, 3)).mT * -1
    turn = torch.eye(3, dtype=torch.float64) + 2 * w * cross + 2 * cross @ cross
    axes = jacobian @ turn @ scene["scales"][i].diag()
    return axes @ axes.mT + 0.3 * torch.eye(2, dtype=torch.float64)


def test_projection_is_gsplats():
    """Values and gradients, with some Gaussians far outside, where the Jacobian is limited."""
    scene = random_scene(200, 40, 24)
    scene["means"] = scene["means"] * torch.tensor([4.0, 4.0, 1.0])
    scene["Ks"][0, 0, 2] += 5
    gaussians = [scene[k].requires_grad_() for k in ("means", "quats", "scales")]
    views = Views(scene["viewmats"], scene["Ks"], 40, 24)
    means, quats, scales = gaussians
    covars, _ = gsplat_formulas._quat_scale_to_covar_preci(quats, scales, compute_preci=False)
    radii, means2d, depths, conics, _ = gsplat_formulas._fully_fused_projection(
        means, covars, *views
    )
    opaque = torch.ones(200, dtype=torch.float64)
    ours = reference.project(Splats(*gaussians, opaque, scene["colors"]), views)
    seen = ours.visible
    assert 20 < seen.sum() < 180
    assert torch.equal(seen, (radii > 0).all(-1))
    weights = torch.linspace(-1, 1, int(seen.sum()), dtype=torch.float64)[:, None]
    results = []
    for m, c, d in ((means2d, conics, depths), (ours.means2d, ours.conics, ours.depths)):
        values = torch.cat([m[seen], c[seen], d[seen][:, None]], -1)
        results.append((values, *torch.autograd.grad((values * weights).sum(), gaussians)))
    torch.testing.assert_close(*results)


def test_harmonics_are_gsplats():
    scene = random_scene(50, 8, 8, degree=3)
    directions, coefficients = scene["means"], scene["colors"]
    unit = torch.nn.functional.normalize(directions, dim=-1)
    for degree in range(4):
        ours = reference.sh_basis(unit, degree)[..., None] * coefficients[:, : (degree + 1) ** 2]
        theirs = gsplat_formulas._spherical_harmonics(degree, unit, coefficients)
        torch.testing.assert_close(ours.sum(-2), theirs)
