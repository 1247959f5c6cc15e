"""The renderer in plain torch: slow, differentiable in float32 and float64, the tests' oracle.

Projection is EWA splatting (Zwicker et al., "EWA Volume Splatting", 2001) as used by "3D
Gaussian Splatting" (Kerbl et al., 2023); thresholds and the limit on the Jacobian are those of
gsplat 1.5.3, so that all backends agree.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from avatar.render.types import Rasterized, Splats, Views

EPS2D = 0.3  # px^2 added to both variances of a footprint: no Gaussian is thinner than a pixel
NEAR, FAR = 0.01, 1e10  # m, along the camera's z axis
MAX_ALPHA = 0.999
MIN_ALPHA = 1.0 / 255.0  # fainter contributions are skipped
MIN_TRANSMITTANCE = 1e-4  # a pixel is finished before it would fall to this
_TILE = 8  # px; small, so that few Gaussians of a tile miss most of its pixels


class Projected(NamedTuple):
    """Footprints of N Gaussians in C cameras."""

    means2d: Float[Tensor, "*batch C N 2"]
    conics: Float[Tensor, "*batch C N 3"]  # inverse covariance: xx, xy, yy
    depths: Float[Tensor, "*batch C N"]
    extents: Float[Tensor, "*batch C N 2"]  # half box outside which alpha < MIN_ALPHA, px
    visible: Bool[Tensor, "*batch C N"]


def rasterize(
    splats: Splats, views: Views, backgrounds: Float[Tensor, "*batch C 3"] | None = None
) -> Rasterized:
    """See :func:`avatar.render.rasterize`; every output is differentiable."""
    batch, cameras = splats.means.shape[:-2], views.viewmats.shape[-3]
    opacities = splats.opacities.expand(*batch, -1)
    projected = project(splats._replace(opacities=opacities), views)
    rgb = _colors(splats, views.viewmats)
    if projected.means2d.requires_grad:
        projected.means2d.retain_grad()

    flat = [x.flatten(0, len(batch)) for x in (*projected, rgb)]
    flat.append(opacities.unsqueeze(-2).expand(*batch, cameras, -1).flatten(0, len(batch)))
    images = [
        _blend(Projected(*one[:5]), one[5], one[6], (views.width, views.height))
        for one in zip(*flat, strict=True)
    ]
    color, transmittance = (
        torch.stack(x).unflatten(0, (*batch, cameras)) for x in zip(*images, strict=True)
    )
    if backgrounds is not None:
        color = color + transmittance * backgrounds[..., None, None, :]
    radii = torch.where(projected.visible[..., None], projected.extents.ceil(), 0.0).int()
    return color, 1.0 - transmittance, {"means2d": projected.means2d, "radii": radii}


def project(splats: Splats, views: Views) -> Projected:
    """The footprints of all Gaussians in all cameras."""
    viewmats, Ks, width, height = views
    opacities = splats.opacities
    turn, shift = viewmats[..., None, :3, :3], viewmats[..., None, :3, 3]
    camera = (turn @ splats.means[..., None, :, :, None]).squeeze(-1) + shift  # [..., C, N, 3]
    depths = camera[..., 2]
    visible = (depths > NEAR) & (depths < FAR) & (opacities >= MIN_ALPHA)[..., None, :]
    # What cannot be seen gets harmless numbers, so that no NaN reaches a gradient.
    safe = torch.where(visible[..., None], camera, torch.ones_like(camera))
    focal = torch.stack([Ks[..., 0, 0], Ks[..., 1, 1]], -1)[..., None, :]  # [..., C, 1, 2]
    centre = Ks[..., None, :2, 2]
    means2d = focal * safe[..., :2] / safe[..., 2:] + centre

    jacobian = _jacobian(safe, focal, centre, width, height)
    form = _rotation(splats.quats) * splats.scales[..., None, :]
    axes = jacobian @ turn @ form[..., None, :, :, :]
    cov = axes @ axes.mT  # [..., C, N, 2, 2], px^2
    xx, xy, yy = cov[..., 0, 0] + EPS2D, cov[..., 0, 1], cov[..., 1, 1] + EPS2D
    det = xx * yy - xy * xy
    conics = torch.stack([yy, -xy, xx], -1) / det[..., None]

    # alpha = opacity exp(-power) falls below MIN_ALPHA at power = ln(opacity / MIN_ALPHA).
    power = torch.log(opacities.clamp(min=MIN_ALPHA) / MIN_ALPHA)[..., None, :, None]
    extents = torch.sqrt(2.0 * power * torch.stack([xx, yy], -1)).detach()
    radii, size = extents.ceil(), means2d.new_tensor([width, height])
    visible = visible & ((means2d + radii > 0) & (means2d - radii < size)).all(-1)
    means2d = torch.where(visible[..., None], means2d, torch.zeros_like(means2d))
    return Projected(means2d, conics, depths, extents, visible)


def _jacobian(
    camera: Tensor, focal: Tensor, centre: Tensor, width: int, height: int
) -> Float[Tensor, "*batch C N 2 3"]:
    """Derivative of the projection, taken no further out than 15 % of the image beyond its edge.

    Far outside, the linearisation is useless and would smear a Gaussian over the whole image.
    """
    size = camera.new_tensor([width, height])
    margin = 0.15 * size / focal
    slope = camera[..., :2] / camera[..., 2:]
    slope = slope.clamp(min=-centre / focal - margin, max=(size - centre) / focal + margin)
    scale = focal / camera[..., 2:]  # [..., C, N, 2]
    return torch.cat([torch.diag_embed(scale), (-scale * slope)[..., None]], -1)


def _rotation(quats: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch 3 3"]:
    w, x, y, z = torch.nn.functional.normalize(quats, dim=-1).unbind(-1)
    rows = [
        *(1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        *(2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        *(2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    ]
    return torch.stack(rows, -1).unflatten(-1, (3, 3))


def _colors(
    splats: Splats, viewmats: Float[Tensor, "*batch C 4 4"]
) -> Float[Tensor, "*batch C N 3"]:
    """Colour of every Gaussian as every camera sees it."""
    means, colors, sh_degree = splats.means, splats.colors, splats.sh_degree
    if sh_degree is None:
        each = colors.expand(*means.shape[:-2], -1, -1).unsqueeze(-3)
        return each.expand(*viewmats.shape[:-2], -1, -1)
    position = -(viewmats[..., :3, :3].mT @ viewmats[..., :3, 3:]).squeeze(-1)  # [..., C, 3]
    directions = torch.nn.functional.normalize(
        means[..., None, :, :] - position[..., None, :], dim=-1
    )
    basis = sh_basis(directions, sh_degree)  # [..., C, N, K]
    used = colors[..., : basis.shape[-1], :].unsqueeze(-4)  # [..., 1, N, K, 3]
    return ((basis[..., None] * used).sum(-2) + 0.5).clamp(min=0.0)


def sh_basis(directions: Float[Tensor, "*batch 3"], degree: int) -> Float[Tensor, "*batch K"]:
    """Real spherical harmonics up to ``degree`` (0..3) at unit directions.

    Order and signs are those of 3D Gaussian Splatting: ``l`` ascending, ``m`` from ``-l`` to
    ``l``, with the Condon-Shortley phase. Constants: Sloan, "Stupid Spherical Harmonics (SH)
    Tricks", 2008, appendix A2.
    """
    x, y, z = directions.unbind(-1)
    basis = [torch.full_like(x, 0.28209479177387814)]
    if degree >= 1:
        basis += [-0.4886025119029199 * y, 0.4886025119029199 * z, -0.4886025119029199 * x]
    if degree >= 2:
        basis += [
            1.0925484305920792 * x * y,
            -1.0925484305920792 * y * z,
            0.31539156525252005 * (3 * z * z - 1),
            -1.0925484305920792 * x * z,
            0.5462742152960396 * (x * x - y * y),
        ]
    if degree >= 3:
        basis += [
            -0.5900435899266435 * y * (3 * x * x - y * y),
            2.890611442640554 * x * y * z,
            -0.4570457994644658 * y * (5 * z * z - 1),
            0.3731763325901154 * z * (5 * z * z - 3),
            -0.4570457994644658 * x * (5 * z * z - 1),
            1.445305721320277 * z * (x * x - y * y),
            -0.5900435899266435 * x * (x * x - 3 * y * y),
        ]
    return torch.stack(basis, -1)


def _blend(
    projected: Projected,
    rgb: Float[Tensor, "N 3"],
    opacities: Float[Tensor, "N"],
    size: tuple[int, int],
) -> tuple[Tensor, Tensor]:
    """Colour and transmittance of one image."""
    means2d, conics, depths, extents, visible = projected
    width, height = size
    order = depths.argsort(stable=True)
    order = order[visible[order]]
    splats = torch.cat([means2d, conics, opacities[:, None], rgb], -1)
    rows = []
    for top in range(0, height, _TILE):
        row = []
        for left in range(0, width, _TILE):
            near = _touching(order, means2d, extents, left, top)
            right, bottom = min(left + _TILE, width), min(top + _TILE, height)
            row.append(_blend_tile(splats[near], (left, top, right, bottom)))
        rows.append(torch.cat(row, 1))
    image = torch.cat(rows, 0)
    return image[..., :3], image[..., 3:]


def _touching(
    order: Int[Tensor, "M"], means2d: Tensor, extents: Tensor, left: int, top: int
) -> Int[Tensor, "L"]:
    half = _TILE / 2
    middle = means2d.new_tensor([left + half, top + half])
    distance = (means2d[order] - middle).abs()
    return order[(distance <= extents[order] + half).all(-1)]


def _blend_tile(
    splats: Float[Tensor, "L 9"], box: tuple[int, int, int, int]
) -> Float[Tensor, "h w 4"]:
    """Front-to-back blending; ``splats`` come nearest first."""
    left, top, right, bottom = box
    x, y, xx, xy, yy, opacity, *rgb = splats.unbind(-1)
    dy = (torch.arange(top, bottom).to(splats) + 0.5)[:, None, None] - y
    dx = (torch.arange(left, right).to(splats) + 0.5)[None, :, None] - x
    power = 0.5 * (xx * dx * dx + yy * dy * dy) + xy * dx * dy
    alpha = (opacity * torch.exp(-power)).clamp(max=MAX_ALPHA)
    alpha = torch.where(alpha >= MIN_ALPHA, alpha, torch.zeros_like(alpha))
    with torch.no_grad():  # the product only falls, so what comes after the end is masked too
        live = (1.0 - alpha).cumprod(-1) > MIN_TRANSMITTANCE
    alpha = alpha * live
    after = (1.0 - alpha).cumprod(-1)  # [h, w, L]
    before = torch.cat([after.new_ones(*after.shape[:2], 1), after], -1)
    weights = alpha * before[..., :-1]
    return torch.cat([weights @ torch.stack(rgb, -1), before[..., -1:]], -1)
