"""An affine colour correction per camera, for captures whose cameras do not agree.

`rgb' = A rgb + alpha b` for what the Gaussians show; the background is not corrected. It is used in
training only: held-out cameras have no correction, and metrics are of uncorrected renders.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def identity(cameras: int) -> Float[Tensor, "{cameras} 3 4"]:
    """The correction `[A | b]` that changes nothing."""
    return torch.eye(3, 4).repeat(cameras, 1, 1)


def correct(
    rgb: Float[Tensor, "*B H W 3"],
    alpha: Float[Tensor, "*B H W 1"],
    backgrounds: Float[Tensor, "*B 3"],
    correction: Float[Tensor, "*B 3 4"],
) -> Float[Tensor, "*B H W 3"]:
    """Correct rendered images.

    Args:
        rgb: over their backgrounds, 0..1.
        alpha: coverage.
        backgrounds: colour behind each image.
        correction: `[A | b]` of each image's camera.
    """
    behind = (1 - alpha) * backgrounds[..., None, None, :]
    foreground = torch.cat([rgb - behind, alpha], -1)
    return torch.einsum("...hwk,...ck->...hwc", foreground, correction) + behind


def distance(correction: Float[Tensor, "*B 3 4"]) -> Float[Tensor, ""]:
    """Mean square distance from the identity; without it overall brightness is not determined."""
    return (correction - torch.eye(3, 4).to(correction)).square().mean()
