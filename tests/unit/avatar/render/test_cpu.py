"""The fast backend against the reference, and what it promises beyond it."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from avatar.render import cpu, rasterize
from tests.unit.avatar.render.scenes import (
    GAUSSIANS,
    batched_scene,
    random_scene,
    relative,
    render_with_grads,
    rotated,
    single,
    to_dtype,
)


def assert_alike(ours, truth, image: float, grad: float) -> None:
    assert (ours.images - truth.images).abs().max().item() < image
    assert (ours.alphas - truth.alphas).abs().max().item() < image
    assert torch.equal(ours.info["radii"], truth.info["radii"])
    for name, value in truth.grads.items():
        assert relative(ours.grads[name], value) < grad, name


@pytest.mark.parametrize("degree", [None, 0, 1, 2, 3])
def test_small_scene(degree):
    """float32 rounding only: no threshold is crossed the other way."""
    scene = random_scene(300, 64, 48, degree=degree)
    ours = render_with_grads(single(scene), "cpu")
    truth = render_with_grads(scene, "reference")
    assert_alike(ours, truth, image=1e-6, grad=5e-6)
    assert relative(ours.info["means2d"], truth.info["means2d"]) < 1e-6


def test_large_scene():
    """Where float32 takes a threshold (1/255, 1e-4) the other way, a pixel jumps: rare, small."""
    scene = random_scene(3000, 128, 128)
    ours = render_with_grads(single(scene), "cpu")
    truth = render_with_grads(scene, "reference")
    assert (ours.images - truth.images).abs().mean().item() < 1e-6
    for name, value in truth.grads.items():
        assert relative(ours.grads[name], value) < 1e-3, name


@pytest.mark.parametrize(
    "size",
    [(1, 1), (7, 70), (33, 31), (64, 32)],
    ids=lambda size: f"{size[0]}x{size[1]}",
)
def test_any_size_and_principal_point(size):
    """Tiles and blocks that the image cuts; the picture's centre elsewhere; unequal focals."""
    scene = random_scene(150, *size, seed=2)
    scene["Ks"][0, 0, 0] *= 1.3
    scene["Ks"][0, 0, 2] += 0.3 * size[0]
    scene["Ks"][0, 1, 2] -= 0.2 * size[1]
    ours = render_with_grads(single(scene), "cpu")
    assert_alike(ours, render_with_grads(scene, "reference"), image=1e-6, grad=2e-5)


def test_needles_and_blankets():
    """Extreme shapes: long thin Gaussians and ones larger than the image."""
    scene = random_scene(60, 80, 60, seed=4)
    scene["scales"][:30] *= torch.tensor([20.0, 0.01, 0.01])
    scene["scales"][30:40] *= 30
    scene["opacities"] = scene["opacities"] * 0.3
    ours = render_with_grads(single(scene), "cpu")
    assert_alike(ours, render_with_grads(scene, "reference"), image=2e-5, grad=1e-4)


def test_a_slanted_near_camera():
    """Gaussians behind, beside and close to the camera; the limit on the Jacobian at work."""
    scene = random_scene(300, 48, 40, seed=5)
    scene["viewmats"][0, 2, 3] = 0.4
    scene["viewmats"][0] = rotated(0.3, 1) @ rotated(-0.2, 0) @ scene["viewmats"][0]
    scene["scales"] = scene["scales"] * 2
    ours = render_with_grads(single(scene), "cpu")
    truth = render_with_grads(scene, "reference")
    seen = (truth.info["radii"] > 0).all(-1)
    assert 10 < seen.sum() < 250
    assert_alike(ours, truth, image=1e-5, grad=1e-4)


def test_unseen_gaussians_get_zero_gradients():
    scene = random_scene(4, 32, 32)
    scene["means"] = torch.tensor(
        [[0, 0, 0], [0, 0, -9], [50, 0, 0], [0, 0, -3.2]], dtype=torch.float64
    )
    ours = render_with_grads(single(scene), "cpu")
    assert (ours.info["radii"][0, 1:] == 0).all()
    assert (ours.info["means2d"][0, 1:] == 0).all()
    for name in GAUSSIANS:
        assert ours.grads[name][0].abs().sum() > 0, name
        assert (ours.grads[name][1:] == 0).all(), name


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["means", "quats", "scales", "opacities"])
def test_what_is_not_finite_is_not_seen(name, value):
    """A training step gone wrong must neither crash nor spoil the other Gaussians."""
    scene = single(random_scene(40, 32, 32))
    others = scene | {key: scene[key][1:] for key in GAUSSIANS}
    scene[name][0] = value
    broken, sound = render_with_grads(scene, "cpu"), render_with_grads(others, "cpu")
    if (name, value) != ("opacities", float("inf")):  # as opaque as can be
        assert (broken.info["radii"][0, 0] == 0).all()
        assert torch.equal(broken.images, sound.images)
        for key in GAUSSIANS:
            assert torch.equal(broken.grads[key][1:], sound.grads[key]), key


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_no_gaussians(backend):
    scene = single(random_scene(0, 40, 24))
    result = render_with_grads(scene, backend)
    assert torch.equal(result.images, scene["backgrounds"].expand(24, 40, 3)[None])
    assert (result.alphas == 0).all()
    assert result.info["radii"].shape == (1, 0, 2)
    assert result.grads["means"].shape == (0, 3)


def test_order_of_gaussians_does_not_matter():
    scene = single(random_scene(500, 64, 64))
    order = torch.randperm(500, generator=torch.Generator().manual_seed(1))
    shuffled = scene | {name: scene[name][order] for name in GAUSSIANS}
    first, second = (render_with_grads(s, "cpu") for s in (scene, shuffled))
    assert torch.equal(first.images, second.images)
    for name in GAUSSIANS:
        torch.testing.assert_close(second.grads[name], first.grads[name][order])


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_moving_scene_and_camera_together_changes_nothing(backend):
    """Colours included: the direction of view turns with the world. Plain colours, because
    harmonics are tied to the world's axes."""
    scene = random_scene(200, 48, 48)
    motion = rotated(0.7, 1) @ rotated(-1.1, 2)
    motion[:3, 3] = torch.tensor([0.3, -2.0, 1.5])
    w, (x, y, z) = scene["quats"][:, :1], scene["quats"][:, 1:].T
    turn = quaternion_of(motion[:3, :3])
    moved = scene | {
        "means": scene["means"] @ motion[:3, :3].T + motion[:3, 3],
        "quats": quaternion_product(turn, torch.stack([w[:, 0], x, y, z], -1)),
        "viewmats": scene["viewmats"] @ torch.linalg.inv(motion),
    }
    if backend == "cpu":
        scene, moved = single(scene), single(moved)
    first, second = (rasterize(**s, backend=backend)[0] for s in (scene, moved))
    assert (first - second).abs().max().item() < (1e-4 if backend == "cpu" else 1e-9)


def quaternion_of(matrix: torch.Tensor) -> torch.Tensor:
    w = 0.5 * torch.sqrt(1 + matrix.trace())
    skew = (matrix - matrix.T) / (4 * w)
    return torch.stack([w, skew[2, 1], skew[0, 2], skew[1, 0]])


def quaternion_product(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    w = p[0] * q[:, :1] - (p[1:] * q[:, 1:]).sum(-1, keepdim=True)
    cross = torch.linalg.cross(p[1:].expand_as(q[:, 1:]), q[:, 1:])
    return torch.cat([w, p[0] * q[:, 1:] + q[:, :1] * p[1:] + cross], -1)


@pytest.mark.parametrize("shared", [False, True])
def test_batch_equals_loop(shared):
    """Opacities and colours per timestep, or shared by all: then gradients add up."""
    scene = batched_scene(shared)
    together = {k: v.clone().requires_grad_() if k in GAUSSIANS else v for k, v in scene.items()}
    apart = {k: v.clone().requires_grad_() if k in GAUSSIANS else v for k, v in scene.items()}
    weights = torch.randn(2, 3, 40, 50, 3, generator=torch.Generator().manual_seed(2))
    images, alphas, info = rasterize(**together)
    (images * weights).sum().backward()
    assert info["means2d"].grad.shape == (2, 3, 400, 2)
    for t in range(2):
        one = {
            k: v[t] if k not in ("opacities", "colors") or not shared else v
            for k, v in apart.items()
            if isinstance(v, torch.Tensor)
        }
        for c in range(3):
            camera = {k: one[k][c : c + 1] for k in ("viewmats", "Ks", "backgrounds")}
            image, alpha, loop_info = rasterize(**apart | one | camera)
            assert torch.equal(image[0], images[t, c])
            assert torch.equal(alpha[0], alphas[t, c])
            (image[0] * weights[t, c]).sum().backward()
            assert torch.equal(loop_info["means2d"].grad[0], info["means2d"].grad[t, c])
    for name in GAUSSIANS:
        torch.testing.assert_close(together[name].grad, apart[name].grad)


@pytest.mark.parametrize("degree", [None, 0, 1])
@pytest.mark.parametrize("cameras", [1, 3])
@pytest.mark.parametrize("shared", [False, True])
def test_batch_against_reference(shared, cameras, degree):
    scene = batched_scene(shared)
    scene |= {name: scene[name][:, :cameras] for name in ("viewmats", "Ks", "backgrounds")}
    if degree is None:
        scene |= {"colors": scene["colors"][..., 0, :], "sh_degree": None}
    if degree == 0:  # some are cut off at black
        scene |= {"colors": 3 * scene["colors"][..., :1, :], "sh_degree": 0}
    ours = render_with_grads(scene, "cpu")
    truth = render_with_grads(to_dtype(scene, torch.float64), "reference")
    assert_alike(ours, truth, image=1e-6, grad=1e-5)


def test_bitwise_equal_for_any_number_of_threads():
    scene = batched_scene(shared=True)
    usual = cpu.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3, 5, 8, 8):
            cpu.set_num_threads(threads)
            results.append(render_with_grads(scene, "cpu"))
    finally:
        cpu.set_num_threads(usual)
    for other in results[1:]:
        assert torch.equal(results[0].images, other.images)
        for name, grad in results[0].grads.items():
            assert torch.equal(grad, other.grads[name]), name


def test_callers_in_several_threads():
    scenes = [single(random_scene(400, 70, 50, seed=seed)) for seed in range(6)]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda scene: render_with_grads(scene, "cpu"), scenes))
    for scene, result in zip(scenes, together, strict=True):
        alone = render_with_grads(scene, "cpu")
        assert torch.equal(result.images, alone.images)
        assert torch.equal(result.grads["means"], alone.grads["means"])


def test_graphs_do_not_share_memory():
    """Two renders before either's backward, and a second backward of the same graph."""
    scenes = [single(random_scene(300, 64, 48, seed=seed)) for seed in (0, 1)]
    means = [s["means"].requires_grad_() for s in scenes]
    losses = [rasterize(**s)[0].square().sum() for s in scenes]
    alone = []
    for scene in scenes:
        value = scene["means"].detach().clone().requires_grad_()
        rasterize(**scene | {"means": value})[0].square().sum().backward()
        alone.append(value.grad)
    for loss, mean, expected in zip(losses, means, alone, strict=True):
        for _ in range(2):
            mean.grad = None
            loss.backward(retain_graph=True)
            assert torch.equal(mean.grad, expected)


def test_loss_on_means2d_reaches_the_means():
    scene = random_scene(50, 32, 32)
    grads = []
    for backend, dtype in (("cpu", torch.float32), ("reference", torch.float64)):
        means = scene["means"].to(dtype).requires_grad_()
        _, _, info = rasterize(**to_dtype(scene, dtype) | {"means": means}, backend=backend)
        info["means2d"].square().sum().backward()
        grads.append(means.grad.double())
    assert relative(*grads) < 1e-6


def test_strided_inputs():
    """Views of any layout give what their copies give."""
    scene = single(random_scene(100, 32, 32))
    strided = {k: scene[k].movedim(0, -1).contiguous().movedim(-1, 0) for k in GAUSSIANS}
    assert torch.equal(rasterize(**scene)[0], rasterize(**scene | strided)[0])


def test_cpu_backend_is_float32():
    with pytest.raises(ValueError, match="means: backend 'cpu' expects float32"):
        rasterize(**random_scene(5, 16, 12), backend="cpu")
