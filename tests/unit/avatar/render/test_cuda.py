"""The CUDA backend: on a GPU against the other two; without one, all of it but the kernels.

Without a GPU, gsplat's own `rasterization` runs with its CUDA kernels exchanged for torch: its
published formulas for projection, harmonics and tiles, and our reference's blending. So what our
arguments mean to it, and what its results mean to us, is tried everywhere.
"""

import subprocess
import sys

import gsplat.rendering
import pytest
import torch
from gsplat.cuda import _torch_impl as formulas
from torch import Tensor

from avatar.base.errors import UserError
from avatar.render import cuda, rasterize, reference
from tests.unit.avatar.render.scenes import (
    GAUSSIANS,
    Rendered,
    batched_scene,
    packed,
    random_scene,
    relative,
    render_with_grads,
    rotated,
    single,
    to_dtype,
)


def project(means, covars, quats, scales, viewmats, Ks, width, height, **options):
    """`fully_fused_projection`, unpacked: what is hidden is memory nobody wrote, here NaN."""
    assert covars is None
    for name in ("packed", "sparse_grad", "calc_compensations", "radius_clip"):
        assert not options[name], name
    assert options["camera_model"] == "pinhole"
    opacities = options["opacities"]
    covars, _ = formulas._quat_scale_to_covar_preci(quats, scales, compute_preci=False)
    limits = {name: options[name] for name in ("eps2d", "near_plane", "far_plane")}
    _, means2d, depths, conics, _ = formulas._fully_fused_projection(
        means, covars, viewmats, Ks, width, height, **limits
    )
    # The kernel's boxes also know the opacity, which the published formula leaves out.
    xx, xy, yy = conics.unbind(-1)
    variances = torch.stack([yy, xx], -1) / (xx * yy - xy * xy)[..., None]
    reach = (2 * (255 * opacities).log()).sqrt().fmin(torch.tensor(3.33))[..., None, :, None]
    boxes = (reach * variances.sqrt()).ceil()
    size = means2d.new_tensor([width, height])
    outside = ((means2d + boxes <= 0) | (means2d - boxes >= size)).any(-1)
    beyond = (depths < options["near_plane"]) | (depths > options["far_plane"])
    # As the kernel asks, so that what is not a number passes every question.
    hidden = outside | beyond | (opacities < 1 / 255)[..., None, :]
    radii = torch.where(hidden[..., None], 0, boxes.nan_to_num(0, 1e9)).int()
    seen = ~hidden

    def written(value: Tensor) -> Tensor:
        return torch.where(
            seen.view(*seen.shape, *[1] * (value.ndim - seen.ndim)), value, torch.nan
        )

    return radii, written(means2d), written(depths), written(conics), None


def harmonics(degree, directions, coefficients, masks):
    color = formulas._spherical_harmonics(degree, directions, coefficients)
    return torch.where(masks[..., None], color, torch.nan)


def tiles(means2d, radii, depths, tile_size, tile_width, tile_height, **options):
    assert not options["packed"]
    return formulas._isect_tiles(means2d, radii, depths, tile_size, tile_width, tile_height)


def blend(
    means2d, conics, colors, opacities, width, height, tile_size, offsets, flatten_ids, **options
):
    """`rasterize_to_pixels`: every tile blends its own list, nearest first."""
    assert not options["packed"]
    images, channels = means2d.shape[:-2], colors.shape[-1]
    backgrounds = options["backgrounds"]
    if backgrounds is None:
        backgrounds = colors.new_zeros(*images, channels)
    assert backgrounds.shape == (*images, channels)
    splats = torch.cat([means2d, conics, opacities[..., None], colors], -1)
    splats = splats.flatten(0, -2)
    rows, columns = offsets.shape[-2:]
    starts = offsets.flatten().tolist()
    ends = [*starts[1:], len(flatten_ids)]
    pictures = splats.new_zeros(backgrounds[..., 0].numel(), height, width, channels + 1)
    for place, (start, end) in enumerate(zip(starts, ends, strict=True)):
        image, (row, column) = place // (rows * columns), divmod(place % (rows * columns), columns)
        left, top = column * tile_size, row * tile_size
        box = (left, top, min(left + tile_size, width), min(top + tile_size, height))
        tile = reference._blend_tile(splats[flatten_ids[start:end].long()], box)
        through = tile[..., 3:]
        color = tile[..., :3] + through * backgrounds.reshape(-1, channels)[image]
        pictures[image, box[1] : box[3], box[0] : box[2]] = torch.cat([color, 1 - through], -1)
    pictures = pictures.unflatten(0, images)
    return pictures[..., :-1], pictures[..., -1:]


@pytest.fixture
def by_gsplat(monkeypatch):
    """The adapter around gsplat's `rasterization`, both as they are, with kernels of torch."""
    for name, ours in {
        "fully_fused_projection": project,
        "spherical_harmonics": harmonics,
        "isect_tiles": tiles,
        "isect_offset_encode": formulas._isect_offset_encode,
        "rasterize_to_pixels": blend,
    }.items():
        monkeypatch.setattr(gsplat.rendering, name, ours)
    return lambda **scene: cuda._by_gsplat(gsplat.rendering.rasterization, *packed(scene))


def assert_alike(ours: Rendered, truth: Rendered) -> None:
    """As close as float32 allows: the formulas are the same, their order is not."""
    for name in ("images", "alphas"):
        assert (getattr(ours, name) - getattr(truth, name)).abs().max().item() < 1e-5, name
    assert torch.equal(ours.info["radii"], truth.info["radii"])
    assert ours.info["radii"].dtype == torch.int32
    means2d = ours.info["means2d"].double()
    torch.testing.assert_close(means2d, truth.info["means2d"], rtol=1e-4, atol=1e-4)
    for name, value in truth.grads.items():
        assert relative(ours.grads[name], value) < 1e-4, name


@pytest.mark.parametrize("degree", [None, 0, 3])
def test_arguments_and_results(by_gsplat, degree):
    """Some Gaussians are outside: their NaN must reach neither image nor gradient nor `means2d`."""
    scene = random_scene(60, 40, 24, degree=degree)
    scene["means"] = scene["means"] * torch.tensor([4.0, 4.0, 1.0])
    scene["Ks"][0, 0, 2] += 5
    ours, truth = render_with_grads(single(scene), by_gsplat), render_with_grads(scene, "reference")
    assert 5 < (truth.info["radii"] == 0).all(-1).sum() < 55
    assert_alike(ours, truth)


@pytest.mark.parametrize("shared", [False, True])
def test_timesteps_and_cameras(by_gsplat, shared):
    """Opacities and colours of each timestep or shared, and a background of each image."""
    scene = batched_scene(shared, 40)
    truth = render_with_grads(to_dtype(scene, torch.float64), "reference")
    assert_alike(render_with_grads(scene, by_gsplat), truth)


def test_black_without_a_background(by_gsplat):
    scene = single(random_scene(40, 20, 20)) | {"backgrounds": None}
    images, _, info = by_gsplat(**scene)
    truth, _, expected = rasterize(**scene, backend="reference")
    torch.testing.assert_close(images, truth, rtol=1e-5, atol=1e-5)
    assert info.keys() == expected.keys()


def test_coefficients_beyond_the_degree_are_not_handed_over():
    """gsplat would copy all sixteen for every image."""
    scene = single(random_scene(40, 20, 20, degree=3)) | {"sh_degree": 1}

    class Seen(Exception):
        pass

    def rasterization(means, quats, scales, opacities, colors, *rest, **named):
        raise Seen(tuple(colors.shape))

    with pytest.raises(Seen, match=r"\(40, 4, 3\)"):
        cuda._by_gsplat(rasterization, *packed(scene))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["means", "quats", "scales", "opacities"])
def test_what_is_not_finite_is_not_seen(by_gsplat, name, value):
    """As in the CPU backend; an infinite opacity is as opaque as can be."""
    scene = single(random_scene(40, 20, 20))
    others = scene | {key: scene[key][1:] for key in GAUSSIANS}
    scene[name][0] = value
    broken, sound = (render_with_grads(s, by_gsplat) for s in (scene, others))
    if (name, value) != ("opacities", float("inf")):
        assert (broken.info["radii"][0, 0] == 0).all()
        assert torch.equal(broken.images, sound.images)
        for key in GAUSSIANS:
            torch.testing.assert_close(broken.grads[key][1:], sound.grads[key], msg=key)


def test_loss_on_means2d_reaches_the_means(by_gsplat):
    scene = random_scene(50, 32, 32)
    grads = []
    for render, dtype in ((by_gsplat, torch.float32), (rasterize, torch.float64)):
        means = scene["means"].to(dtype).requires_grad_()
        options = {} if render is by_gsplat else {"backend": "reference"}
        _, _, info = render(**to_dtype(scene, dtype) | {"means": means}, **options)
        info["means2d"].square().sum().backward()
        grads.append(means.grad.double())
    assert relative(*grads) < 1e-6


def test_refused_on_the_cpu():
    scene = single(random_scene(5, 16, 12))
    with pytest.raises(
        ValueError, match="backend: 'gsplat' cannot render cpu tensors; use cpu, ref"
    ):
        rasterize(**scene, backend="gsplat")
    with pytest.raises(ValueError, match="backend 'gsplat' expects float32 on cuda, got torch"):
        cuda.rasterize(*packed(scene))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_why_it_cannot_be_used():
    reason = "is built without CUDA" if torch.version.cuda is None else "sees no CUDA device"
    with pytest.raises(UserError, match=f"backend 'gsplat' cannot be used: torch .* {reason}: "):
        cuda.load()


def test_the_cpu_needs_no_gsplat():
    """Nor does choosing a backend: gsplat is imported when CUDA tensors are rendered."""
    code = """if True:
        import sys, torch
        import avatar.render.cuda
        from avatar.render import rasterize
        eye = torch.eye(4)[None]
        one = torch.ones(1, 3)
        rasterize(one, torch.ones(1, 4), one, torch.ones(1), one, eye, eye[:, :3, :3], 4, 4)
        print([name for name in sys.modules if name.split(".")[0] == "gsplat"])
    """
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.returncode, result.stdout.strip()) == (0, "[]"), result.stderr


# On a GPU. Tolerances: the kernels are float32 with fast exponentials (a few units in the last
# place: 1e-6 of an image). Where one takes a threshold (1/255, 1e-4) or a rounded radius the
# other way than float64, a pixel jumps by up to 1/255 and a radius by 1: rare, so means are
# held tightly and maxima loosely.


def on_gpu(scene, backend: str = "gsplat") -> Rendered:
    scene = {k: v.cuda() if isinstance(v, Tensor) else v for k, v in single(scene).items()}
    images, alphas, info, grads = render_with_grads(scene, backend)
    assert images.is_cuda
    info, grads = ({k: v.cpu() for k, v in found.items()} for found in (info, grads))
    return Rendered(images.cpu(), alphas.cpu(), info, grads)


def assert_twins(ours: Rendered, truth: Rendered, grad: float = 2e-3) -> None:
    for name in ("images", "alphas"):
        difference = (getattr(ours, name) - getattr(truth, name)).abs()
        assert difference.mean().item() < 2e-6, name
        assert difference.max().item() < 5e-3, name
    radii = (ours.info["radii"] - truth.info["radii"]).abs()
    assert radii.max() <= 1 or ((ours.info["radii"] == 0) != (truth.info["radii"] == 0)).sum() <= 2
    assert (radii > 0).float().mean() < 0.01
    assert (ours.info["means2d"] - truth.info["means2d"]).abs().mean() < 1e-3
    for name, value in truth.grads.items():
        assert relative(ours.grads[name], value) < grad, name


@pytest.mark.gpu
@pytest.mark.parametrize("twin", ["reference", "cpu"])
@pytest.mark.parametrize("degree", [None, 0, 1, 2, 3])
def test_gpu_small_scene(degree, twin):
    scene = random_scene(300, 64, 48, degree=degree)
    truth = render_with_grads(single(scene) if twin == "cpu" else scene, twin)
    assert_twins(on_gpu(scene), truth)


@pytest.mark.gpu
@pytest.mark.parametrize("twin", ["reference", "cpu"])
@pytest.mark.parametrize("shared", [False, True])
def test_gpu_timesteps_and_cameras(shared, twin):
    scene = batched_scene(shared)
    truth = render_with_grads(to_dtype(scene, torch.float64) if twin != "cpu" else scene, twin)
    assert_twins(on_gpu(scene), truth)


@pytest.mark.gpu
@pytest.mark.parametrize("twin", ["reference", "cpu"])
def test_gpu_slanted_near_camera(twin):
    """Gaussians behind, beside and close to the camera; the limit on the Jacobian at work."""
    scene = random_scene(300, 48, 40, seed=5)
    scene["viewmats"][0, 2, 3] = 0.4
    scene["viewmats"][0] = rotated(0.3, 1) @ rotated(-0.2, 0) @ scene["viewmats"][0]
    scene["Ks"][0, 0, 0] *= 1.3
    scene["Ks"][0, 0, 2] += 9
    truth = render_with_grads(single(scene) if twin == "cpu" else scene, twin)
    assert (truth.info["radii"] == 0).any()
    assert_twins(on_gpu(scene), truth, grad=5e-3)


@pytest.mark.gpu
@pytest.mark.parametrize("n", [1, 31])
def test_gpu_few_gaussians(n):
    """Fewer than a warp: rendered by the reference, on the GPU, timesteps apart."""
    scene = batched_scene(False, n)
    assert_twins(on_gpu(scene), render_with_grads(to_dtype(scene, torch.float64), "reference"))


@pytest.mark.gpu
def test_gpu_no_gaussians():
    scene = batched_scene(False, 0)
    result = on_gpu(scene)
    assert torch.equal(
        result.images, scene["backgrounds"][:, :, None, None].expand(2, 3, 40, 50, 3)
    )
    assert (result.info["radii"].shape, result.grads["means"].shape) == ((2, 3, 0, 2), (2, 0, 3))


@pytest.mark.gpu
def test_gpu_auto_is_gsplat():
    scene = random_scene(100, 32, 32)
    assert torch.equal(on_gpu(scene, "auto").images, on_gpu(scene).images)


@pytest.mark.gpu
def test_gpu_refuses_the_cpu_backend():
    with pytest.raises(ValueError, match="'cpu' cannot render cuda tensors; use gsplat, reference"):
        on_gpu(random_scene(40, 16, 12), "cpu")
