"""Which renderers work, by rendering with each; kernels compiled here are kept in their caches."""

import shutil
import subprocess
import time

import numpy as np
import torch
from torch import Tensor

from avatar.base.cli import one_line
from avatar.data.frames import composite
from avatar.gaussians.model import RiggedGaussians
from avatar.losses import terms
from avatar.render import Backend, Views, cuda, rasterize, render
from avatar.render.mesh import rasterize_mesh
from pipeline.doctor.finding import Finding

BACKENDS: dict[Backend, str] = {"reference": "cpu", "cpu": "cpu", "gsplat": "cuda"}  # -> device
# Mean differences from float64. A threshold crossed in one precision only changes few pixels.
IMAGE_LIMIT, GRADIENT_LIMIT = 1e-5, 1e-2
_WIDTH, _HEIGHT = 48, 32


def examine() -> list[Finding]:
    """torch's CUDA, the CUDA compiler, every backend, and the kernels of training."""
    return [torch_cuda(), compiler(), *(backend(name) for name in BACKENDS), kernels()]


def torch_cuda() -> Finding:
    """The devices that torch sees."""
    version = f"torch {torch.__version__}"
    if torch.version.cuda is None:
        remedy = "on a CUDA machine install torch's default wheel, see the README"
        return Finding("cuda", "fail", f"{version} is built without CUDA", remedy)
    if not torch.cuda.is_available():
        remedy = "check nvidia-smi, the driver and CUDA_VISIBLE_DEVICES"
        return Finding("cuda", "fail", f"{version} sees no CUDA device", remedy)
    devices = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    names = ", ".join(
        f"{d.name} ({d.total_memory / 2**30:.0f} GiB, capability {d.major}.{d.minor})"
        for d in devices
    )
    return Finding("cuda", "ok", f"{version}, CUDA {torch.version.cuda}: {names}")


def compiler() -> Finding:
    """nvcc, which gsplat is compiled with when it is first used."""
    path = shutil.which("nvcc")
    if path is None:
        remedy = "install the CUDA toolkit and put its nvcc on the PATH"
        return Finding("nvcc", "warn", "not on the PATH", remedy)
    done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    release = [part for part in done.stdout.split(",") if part.strip().startswith("release")]
    return Finding("nvcc", "ok", f"{path}, {release[0].strip() if release else 'version unknown'}")


def backend(name: Backend) -> Finding:
    """Render a small scene and its gradient, and compare with the reference in float64."""
    what = f"backend {name}"
    start = time.perf_counter()
    try:
        if name == "gsplat":
            cuda.load()  # has the best error message
        image, gradient = _small_scene(name, torch.float32, BACKENDS[name])
    except Exception as problem:  # a user's mistake, a compiler's or a driver's: all are reported
        return Finding(what, "fail", one_line(problem))
    took = time.perf_counter() - start
    truth, slope = _small_scene("reference", torch.float64, "cpu")
    image_error = (image - truth).abs().mean().item()
    gradient_error = ((gradient - slope).norm() / slope.norm()).item()
    detail = (
        f"image {image_error:.0e}, gradient {gradient_error:.0e} off the reference; {took:.1f} s"
    )
    if image_error > IMAGE_LIMIT or gradient_error > GRADIENT_LIMIT:
        return Finding(what, "fail", detail, "do not train with it; report this line")
    return Finding(what, "ok", detail)


def _small_scene(name: Backend, dtype: torch.dtype, device: str) -> tuple[Tensor, Tensor]:
    """64 Gaussians at a distance of one metre: an image, and its gradient in their centres."""
    draw = np.random.default_rng(0)

    def drawn(low: float, high: float, *shape: int) -> Tensor:
        return torch.tensor(draw.uniform(low, high, shape), dtype=dtype, device=device)

    count = 64  # fewer than 32 would not reach gsplat
    means = drawn(-0.3, 0.3, count, 3)
    means[:, 2] += 1.0
    K = torch.tensor([[[50.0, 0, 24], [0, 50, 16], [0, 0, 1]]], dtype=dtype, device=device)
    means.requires_grad_()
    image, _, _ = rasterize(
        means,
        drawn(-1, 1, count, 4),
        drawn(0.02, 0.08, count, 3),
        drawn(0.3, 0.9, count),
        drawn(0, 1, count, 3),
        torch.eye(4, dtype=dtype, device=device)[None],
        K,
        _WIDTH,
        _HEIGHT,
        backend=name,
    )
    weights = drawn(-1, 1, *image.shape)
    (gradient,) = torch.autograd.grad((image * weights).sum(), means)
    return image.detach().double().cpu(), gradient.double().cpu()


def kernels() -> Finding:
    """Compile the CPU kernels of training, or read them from Numba's cache."""
    start = time.perf_counter()
    _one_step()
    took = time.perf_counter() - start
    return Finding("cpu kernels", "ok", f"of one training step, ready after {took:.1f} s")


def _one_step() -> None:
    """Render a triangle's Gaussian, differentiate the loss, and rasterise the triangle."""
    verts = torch.tensor([[[0.0, 0.0, 1.0], [0.1, 0.0, 1.0], [0.0, 0.1, 1.0]]], requires_grad=True)
    faces = torch.tensor([[0, 1, 2]])
    world = RiggedGaussians.on_faces(1).activate(verts, faces)
    K = torch.tensor([[[[50.0, 0, 24], [0, 50, 16], [0, 0, 1]]]])
    output = render(world, Views(torch.eye(4)[None, None], K, _WIDTH, _HEIGHT))
    frame = np.zeros((_HEIGHT, _WIDTH, 3), np.uint8)
    truth = torch.from_numpy(composite(frame, frame[..., 0].copy(), np.zeros(3, np.float32)))
    terms.appearance(output.rgb, truth.expand_as(output.rgb)).loss.backward()
    rasterize_mesh(
        verts[0].detach().numpy().astype(np.float64), faces.numpy(), np.eye(4),
        K[0, 0].numpy().astype(np.float64), _WIDTH, _HEIGHT,
    )  # fmt: skip
