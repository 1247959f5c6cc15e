"""The training loss: appearance against the frame, and penalties on the Gaussians."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from avatar.losses.settings import Form
from avatar.losses.ssim import FusedAppearance, ssim_map


class Appearance(NamedTuple):
    """The loss on the images, and without gradients what it is made of.

    All stay on the device: reading a number there waits for everything before it.
    """

    loss: Float[Tensor, ""]
    l1: Float[Tensor, ""]
    ssim: Float[Tensor, ""]
    squared_error: Float[Tensor, ""]


def appearance(
    image: Float[Tensor, "*B H W 3"], truth: Float[Tensor, "*B H W 3"], ssim_weight: float = 0.2
) -> Appearance:
    """`(1 - w) L1 + w (1 - SSIM)`, means over all images; `truth` gets no gradient.

    Source: Kerbl et al., "3D Gaussian Splatting", 2023, eq. 7; constants in `avatar.losses.ssim`.

    Args:
        image: RGB, 0..1.
        truth: what it should be.
        ssim_weight: w.
    """
    if image.device.type == "cpu" and image.dtype == torch.float32:
        loss, means = FusedAppearance.apply(image, truth, ssim_weight)
        similarity, absolute, squared = means.unbind()
        return Appearance(loss, absolute, similarity, squared)
    difference = image - truth.detach()
    absolute, similarity = difference.abs().mean(), ssim_map(image, truth.detach()).mean()
    loss = (1 - ssim_weight) * absolute + ssim_weight * (1 - similarity)
    squared = difference.detach().square().mean()
    return Appearance(loss, absolute.detach(), similarity.detach(), squared)


def position_loss(
    means_local: Float[Tensor, "N 3"],
    visible: Bool[Tensor, "N"],
    limit: float = 1.0,
    form: Form = "hinge",
) -> Float[Tensor, ""]:
    """Distance of visible Gaussians from their triangle beyond a limit, in face scales.

    `hinge`: mean of `relu(|mean| - limit)`. `max`: mean of `max(|mean|, limit)`, which differs
    by the constant `limit` and so has the same gradient. Source: Qian et al.,
    "GaussianAvatars", 2024, eq. 4. Zero where nothing is visible.
    """
    distance = means_local.norm(dim=1)
    if form == "hinge":
        return _mean_over(torch.relu(distance - limit), visible)
    return _mean_over(distance.clamp(min=limit), visible)


def scale_loss(
    log_scales: Float[Tensor, "N 3"],
    visible: Bool[Tensor, "N"],
    limit: float = 0.6,
    form: Form = "hinge",
) -> Float[Tensor, ""]:
    """Size of visible Gaussians beyond a limit, in face scales.

    `hinge`: mean of `|relu(s - limit)|`. `max`: mean of `|max(s, limit)|`; where a component is
    active its gradient is weighted by the whole vector and not by the excess. Source: Qian et
    al., "GaussianAvatars", 2024, eq. 5. Zero where nothing is visible.
    """
    scales = log_scales.exp()
    if form == "hinge":
        return _mean_over(_safe_norm(torch.relu(scales - limit)), visible)
    return _mean_over(scales.clamp(min=limit).norm(dim=1), visible)


def opacity_loss(
    opacity_logits: Float[Tensor, "N"], visible: Bool[Tensor, "N"]
) -> Float[Tensor, ""]:
    """Mean opacity of visible Gaussians: it fades those that no image needs. Zero if none is."""
    return _mean_over(opacity_logits.sigmoid(), visible)


def _mean_over(values: Float[Tensor, "N"], visible: Bool[Tensor, "N"]) -> Float[Tensor, ""]:
    return torch.where(visible, values, 0.0).sum() / visible.sum().clamp(min=1)


def _safe_norm(vectors: Float[Tensor, "N 3"]) -> Float[Tensor, "N"]:
    """Euclidean length whose gradient at zero is zero, not NaN."""
    square = (vectors * vectors).sum(1)
    zero = square == 0
    return torch.where(zero, 0.0, torch.where(zero, 1.0, square).sqrt())
