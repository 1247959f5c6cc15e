"""Density control with a fixed budget: relocation instead of thresholds and resets.

Gaussians that have faded are moved onto others, drawn by opacity; where n of them come to lie on
one place, each gets the share of its opacity and size that leaves the image as it was; and noise
moves faint ones to other places. Source: Kheradmand et al., "3D Gaussian Splatting as
Markov Chain Monte Carlo", 2024, sections 3.2-3.4. Here the copies inherit the binding, a face
never loses its last Gaussian, and the noise is drawn in the triangle's frame.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatar.gaussians.model import RiggedGaussians
from avatar.rig.rotations import quat_to_matrix
from avatar.train.density.change import Change, last_of_face, select

MOST_COPIES = 51  # on one place at a time; beyond it the alternating sum loses its digits
_OPAQUE = 1 - 1e-6


def relocate(gaussians: RiggedGaussians, min_opacity: float, generator: torch.Generator) -> Change:
    """Move Gaussians fainter than `min_opacity` onto the others, drawn by their opacity.

    A face's last Gaussian stays where it is, however faint. Nothing moves if all are faint.
    """
    opacities = gaussians.opacity_logits.detach().sigmoid()
    faint = opacities < min_opacity
    dead = faint & ~last_of_face(gaussians, faint)
    source = torch.arange(len(gaussians), device=faint.device)
    if not bool(faint.all()):
        source[dead] = _draw(torch.where(faint, 0.0, opacities), int(dead.sum()), generator)
    return share(gaussians, source, min_opacity)


def grow(
    gaussians: RiggedGaussians, count: int, min_opacity: float, generator: torch.Generator
) -> Change:
    """Add `count` copies of Gaussians drawn by their opacity."""
    opacities = gaussians.opacity_logits.detach().sigmoid()
    rows = torch.arange(len(gaussians), device=opacities.device)
    return share(gaussians, torch.cat([rows, _draw(opacities, count, generator)]), min_opacity)


def _draw(
    weights: Float[Tensor, "N"], count: int, generator: torch.Generator
) -> Int[Tensor, "{count}"]:
    """Rows with replacement, each as likely as its weight; on the CPU, the same on every device."""
    if count == 0:
        return torch.empty(0, dtype=torch.int64, device=weights.device)
    edges = weights.double().cpu().cumsum(0)
    points = torch.rand(count, generator=generator, dtype=torch.float64) * edges[-1]
    # `right`: a weight of zero is never drawn.
    return torch.searchsorted(edges, points, right=True).to(weights.device)


def share(gaussians: RiggedGaussians, source: Int[Tensor, "M"], min_opacity: float) -> Change:
    """The rows `source`; a row named n times shares its opacity and size among its n copies.

    Opacities do not fall below `min_opacity`, or the copies would be dead at once. Rows named
    once keep every bit; the others are fresh, so their moments start anew.
    """
    copies = torch.bincount(source, minlength=len(gaussians))[source]
    fresh = copies > 1
    after = select(gaussians, source)
    opacities = after.opacity_logits[fresh].sigmoid()
    shared, size = shared_opacity(opacities, copies[fresh].clamp(max=MOST_COPIES))
    after.opacity_logits[fresh] = shared.clamp(min_opacity, _OPAQUE).logit()
    after.log_scales[fresh] += size.log()[:, None]
    return Change(after, source, fresh)


def shared_opacity(
    opacity: Float[Tensor, "M"], copies: Int[Tensor, "M"]
) -> tuple[Float[Tensor, "M"], Float[Tensor, "M"]]:
    """Opacity of each of n equal Gaussians on one place, and by what their size is multiplied.

    Their centre lets through as much as the one before: `(1 - o')^n = 1 - o`. Along a line
    through it they cover as much: with G a Gaussian profile, the integral of
    `1 - (1 - o' G)^n = sum_j C(n,j) (-1)^(j-1) o'^j G^j` is `sum_j ... / sqrt(j)` times that of G,
    to be o. (Equation 9 of the source, with its inner sum over binomials done.)
    """
    n = copies.double()
    each = -torch.expm1(torch.log1p(-opacity.double().clamp(max=_OPAQUE)) / n)
    j = torch.arange(1, MOST_COPIES + 1, dtype=torch.float64, device=opacity.device)
    rest = (n[:, None] - j).clamp(min=0)
    log_binomial = torch.lgamma(n[:, None] + 1) - torch.lgamma(j + 1) - torch.lgamma(rest + 1)
    sign = 1 - 2 * ((j - 1) % 2)
    terms = sign * log_binomial.exp() * each[:, None] ** j / j.sqrt()
    covered = torch.where(j <= n[:, None], terms, 0.0).sum(1)
    return each.to(opacity), (opacity.double() / covered).to(opacity)


def noise(
    gaussians: RiggedGaussians,
    face_scale: Float[Tensor, "F"],
    strength: float,
    generator: torch.Generator,
) -> Float[Tensor, "N 3"]:
    """Random steps of the means, in their triangles' frames: large for faint Gaussians.

    In the world the source steps by `strength * gate(opacity) * covariance @ normal`. With
    covariance `k^2 R S R^T` and a step of `k R d`, that is `d = strength * gate * k * S @ normal'`:
    the triangle's scale k remains as a factor.

    Args:
        face_scale: k (m) of every face on the subject's neutral mesh.
        strength: per metre.
    Returns:
        Steps in units of the face's scale.
    """
    with torch.no_grad():
        shape = gaussians.means_local.shape
        normal = torch.randn(shape, generator=generator).to(gaussians.means_local)
        turn = quat_to_matrix(gaussians.quats_local)
        variances = (2 * gaussians.log_scales).exp()
        step = turn @ (variances[..., None] * (turn.mT @ normal[..., None]))
        gate = torch.sigmoid(100 * (0.005 - gaussians.opacity_logits.sigmoid()))
        size = strength * gate * face_scale[gaussians.binding]
        return size[:, None] * step.squeeze(-1)
