"""Scenes to render, and one way to render them with gradients."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from avatar.render import rasterize
from avatar.render.types import Splats, Views

GAUSSIANS = ("means", "quats", "scales", "opacities", "colors")


class Rendered(NamedTuple):
    images: Tensor
    alphas: Tensor
    info: dict[str, Any]
    grads: dict[str, Tensor]  # of the Gaussians and of means2d


def random_scene(
    n: int, width: int, height: int, *, degree: int | None = None, seed: int = 0
) -> dict[str, Any]:
    """Gaussians on a unit sphere 3.2 m ahead, 1.7 to 3.2 px wide; float64."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=generator, dtype=torch.float64)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    focal = 1.25 * min(width, height)
    means = torch.nn.functional.normalize(normal(n, 3), dim=-1) * (1 + 0.02 * normal(n, 1))
    pixel = (means[:, 2:] + 3.2) / focal  # m
    viewmats = torch.eye(4, dtype=torch.float64)[None].clone()
    viewmats[0, 2, 3] = 3.2
    intrinsics = [[focal, 0.0, width / 2], [0.0, focal, height / 2], [0.0, 0.0, 1.0]]
    return {
        "means": means,
        "quats": normal(n, 4),
        "scales": uniform(1.7, 3.2, n, 1) * uniform(0.6, 1.4, n, 3) * pixel,
        "opacities": (0.7 + 0.15 * normal(n)).clamp(0.05, 0.98),
        "colors": uniform(0, 1, n, 3) if degree is None else 0.3 * normal(n, (degree + 1) ** 2, 3),
        "viewmats": viewmats,
        "Ks": torch.tensor([intrinsics], dtype=torch.float64),
        "width": width,
        "height": height,
        "sh_degree": degree,
        "backgrounds": torch.tensor([[0.2, 0.5, 0.9]], dtype=torch.float64),
    }


def packed(scene: dict[str, Any]) -> tuple[Splats, Views, Tensor | None]:
    """A scene as a backend's own `rasterize` takes it."""
    splats = Splats(*(scene[name] for name in GAUSSIANS), scene.get("sh_degree"))
    views = Views(scene["viewmats"], scene["Ks"], scene["width"], scene["height"])
    return splats, views, scene.get("backgrounds")


def rotated(angle: float, axis: int) -> Tensor:
    """4x4 rotation about a coordinate axis; angle in radians."""
    turn = torch.tensor(angle, dtype=torch.float64)
    c, s = turn.cos(), turn.sin()
    i, j = [k for k in range(3) if k != axis]
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[i, i] = matrix[j, j] = c
    matrix[i, j], matrix[j, i] = -s, s
    return matrix


def batched_scene(shared: bool, n: int = 400) -> dict[str, Any]:
    """Two timesteps, three cameras, float32; opacities and colours of each timestep or of all."""
    scenes = [single(random_scene(n, 50, 40, degree=1, seed=seed)) for seed in (0, 1)]
    scene = scenes[0] | {
        name: torch.stack([s[name] for s in scenes]) for name in (*GAUSSIANS, "Ks", "viewmats")
    }
    turns = [rotated(0.5 * camera - 0.2 * t, 1) for t in range(2) for camera in range(3)]
    scene["viewmats"] = scene["viewmats"] @ torch.stack(turns).float().reshape(2, 3, 4, 4)
    scene["Ks"] = scene["Ks"].repeat(1, 3, 1, 1)
    scene["backgrounds"] = torch.rand(2, 3, 3, generator=torch.Generator().manual_seed(3))
    if shared:
        scene["opacities"], scene["colors"] = scene["opacities"][0], scene["colors"][0]
    return scene


def to_dtype(scene: dict[str, Any], dtype: torch.dtype) -> dict[str, Any]:
    return {k: v.to(dtype) if isinstance(v, Tensor) else v for k, v in scene.items()}


def single(scene: dict[str, Any]) -> dict[str, Any]:
    return to_dtype(scene, torch.float32)


def relative(ours: Tensor, truth: Tensor) -> float:
    """Relative L2 error."""
    return ((ours - truth).norm() / truth.norm()).item()


def render_with_grads(scene: dict[str, Any], backend: str | Callable[..., Any]) -> Rendered:
    """Images and the gradients of a random linear loss on images and alphas.

    The backend is one of `rasterize` by name, or a function called in its place.
    """
    render = partial(rasterize, backend=backend) if isinstance(backend, str) else backend
    scene = {k: v.detach().clone() if isinstance(v, Tensor) else v for k, v in scene.items()}
    for name in GAUSSIANS:
        scene[name].requires_grad_()
    images, alphas, info = render(**scene)
    generator = torch.Generator().manual_seed(7)
    loss = sum(
        (x * torch.randn(x.shape, generator=generator, dtype=torch.float64).to(x)).sum()
        for x in (images, alphas)
    )
    loss.backward()
    grads = {name: scene[name].grad for name in GAUSSIANS}
    grads["means2d"] = info["means2d"].grad
    info = {name: value.detach() for name, value in info.items()}
    return Rendered(images.detach(), alphas.detach(), info, grads)
