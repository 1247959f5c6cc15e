"""The training loss of one step: the weighted sum of its terms."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from avatar.data.frames import Frames
from avatar.gaussians import camera_colors
from avatar.gaussians.model import RiggedGaussians
from avatar.losses import terms as losses
from avatar.losses.lpips import Lpips
from avatar.losses.settings import LossWeights
from avatar.render import RenderOutput


class Objective(NamedTuple):
    """The loss, and for the log each term as it enters the sum, on the device."""

    loss: Float[Tensor, ""]
    values: dict[str, Float[Tensor, ""]]


def objective(
    weights: LossWeights,
    output: RenderOutput,
    truth: Frames,
    backgrounds: Float[Tensor, "B C 3"],
    gaussians: RiggedGaussians,
    colors: Float[Tensor, "B C 3 4"] | None = None,
    lpips: Lpips | None = None,
) -> Objective:
    """Compare a render with its frames, and keep Gaussians near their triangles.

    Args:
        output: of the step's timesteps and cameras, over their backgrounds.
        colors: correction of each image's camera (`avatar.gaussians.camera_colors`); none if None.
        lpips: the network of the perceptual term; no such term if None.
    """
    image = output.rgb
    if colors is not None:
        image = camera_colors.correct(image, output.alpha, backgrounds, colors)
    seen = losses.appearance(image, truth.images, weights.ssim)
    visible = (output.radii > 0).all(-1).flatten(0, -2).any(0)
    near = (visible, weights.position_limit, weights.form)
    small = (visible, weights.scale_limit, weights.form)
    terms = {
        "position": weights.position * losses.position_loss(gaussians.means_local, *near),
        "scale": weights.scale * losses.scale_loss(gaussians.log_scales, *small),
    }
    if weights.opacity:
        mean = losses.opacity_loss(gaussians.opacity_logits, visible)
        terms["opacity"] = weights.opacity * mean
    if weights.alpha:
        terms["alpha"] = weights.alpha * (output.alpha - truth.alphas).abs().mean()
    if lpips is not None:
        terms["lpips"] = weights.lpips * lpips(image, truth.images)
    if colors is not None:
        terms["camera_colors"] = weights.camera_colors * camera_colors.distance(colors)
    loss = torch.stack([seen.loss, *terms.values()]).sum()
    values = {"loss": loss, "l1": seen.l1, "ssim": seen.ssim} | terms
    values |= {"error": seen.squared_error, "visible": visible.float().sum()}
    return Objective(loss, {name: value.detach() for name, value in values.items()})
