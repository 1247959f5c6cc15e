"""The paper's density control: clone, split, prune and reset, with every Gaussian on its face.

Source: Kerbl et al., "3D Gaussian Splatting", 2023, section 5; that children inherit the binding
and that no face loses all of its Gaussians is from Qian et al., "GaussianAvatars", 2024.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from avatar.gaussians.model import RiggedGaussians
from avatar.rig.rotations import quat_to_matrix
from avatar.train.density.change import Change, emptied, select, world_size

SPLIT_SHRINK = 1.6  # a split's children are this much smaller


@dataclass
class DensityStats:
    """What is gathered over the images between two rounds.

    Attributes:
        gradient: sum over images of the norm of d(loss of one image)/d(projected mean), in
            normalised device units.
        count: images in which the Gaussian was visible.
    """

    gradient: Float[Tensor, "N"]
    count: Int[Tensor, "N"]

    @classmethod
    def empty(cls, n: int, device: torch.device | None = None) -> "DensityStats":
        """Nothing seen yet."""
        return cls(
            torch.zeros(n, device=device),
            torch.zeros(n, dtype=torch.int64, device=device),
        )

    def add(
        self,
        gradient: Float[Tensor, "*B C N 2"],
        radii: Int[Tensor, "*B C N 2"],
        width: int,
        height: int,
    ) -> None:
        """Add the images of one step.

        Args:
            gradient: of the step's loss, a mean over its images, by the projected means in pixels.
            radii: pixels, zero where the Gaussian is not visible.
            width: pixels.
            height: pixels.
        """
        gradient, radii = gradient.flatten(0, -3), radii.flatten(0, -3)
        images = gradient.shape[0]
        # The loss is the mean over images: times their number it is the loss of one image.
        units = gradient.new_tensor([width / 2, height / 2]) * images
        visible = (radii > 0).all(-1)
        self.gradient += ((gradient * units).norm(dim=-1) * visible).sum(0)
        self.count += visible.sum(0)

    def mean_gradient(self) -> Float[Tensor, "N"]:
        """Average over the images where a Gaussian was visible; zero where it never was."""
        return self.gradient / self.count.clamp(min=1)


def densify(
    gaussians: RiggedGaussians,
    gradient: Float[Tensor, "N"],
    face_scale: Float[Tensor, "F"],
    threshold: float,
    split_above: float,
    cap: int | None,
    generator: torch.Generator,
) -> Change:
    """Clone the small and split the large Gaussians with a large gradient of their projection.

    Children inherit the parent's face. A clone is an exact copy. A split replaces the parent by
    two samples of it, each 1.6 times smaller; the samples are drawn in the face's frame, where
    the parent's scale is already in units of the face's, so nothing is divided twice.

    Args:
        gradient: mean gradient of each, as `DensityStats.mean_gradient`.
        face_scale: k of every face on the subject's neutral mesh, metres.
        threshold: gradient above which a Gaussian is densified.
        split_above: largest world scale (m) that is still cloned.
        cap: the most Gaussians there may be; the strongest gradients go first. None: no limit.
        generator: of the samples.
    """
    n = len(gaussians)
    world = world_size(gaussians, face_scale)
    chosen = _strongest(gradient, threshold, None if cap is None else max(cap - n, 0))
    cloned = torch.nonzero(chosen & (world <= split_above)).squeeze(1)
    split = torch.nonzero(chosen & (world > split_above)).squeeze(1)
    kept = torch.ones(n, dtype=torch.bool, device=gradient.device)
    kept[split] = False
    source = torch.cat([torch.nonzero(kept).squeeze(1), cloned, split, split])
    fresh = torch.arange(len(source), device=source.device) >= int(kept.sum())
    children = select(gaussians, source)
    first = len(source) - 2 * len(split)
    _resample(children, slice(first, None), generator)
    return Change(children, source, fresh)


def _strongest(
    gradient: Float[Tensor, "N"], threshold: float, room: int | None
) -> Bool[Tensor, "N"]:
    """Above the threshold, at most `room` of them; each costs one new Gaussian."""
    chosen = gradient > threshold
    if room is None or int(chosen.sum()) <= room:
        return chosen
    order = gradient.argsort(descending=True, stable=True)[:room]
    return torch.zeros_like(chosen).index_fill_(0, order, True) & chosen


def _resample(gaussians: RiggedGaussians, rows: slice, generator: torch.Generator) -> None:
    """Move the rows to samples of their own distribution and shrink them; local frame."""
    scales = gaussians.log_scales[rows].exp()
    noise = torch.randn(scales.shape, generator=generator, dtype=scales.dtype).to(scales.device)
    turn = quat_to_matrix(gaussians.quats_local[rows])
    gaussians.means_local[rows] += (turn @ (scales * noise)[..., None]).squeeze(-1)
    gaussians.log_scales[rows] -= torch.tensor(SPLIT_SHRINK).log().item()


def prune(gaussians: RiggedGaussians, unwanted: Bool[Tensor, "N"]) -> Change:
    """Drop the unwanted; a face that would lose all of its Gaussians keeps them."""
    keep = ~unwanted | emptied(gaussians, unwanted)
    source = torch.nonzero(keep).squeeze(1)
    fresh = torch.zeros(len(source), dtype=torch.bool, device=source.device)
    return Change(select(gaussians, source), source, fresh)


def unwanted(
    gaussians: RiggedGaussians,
    face_scale: Float[Tensor, "F"],
    min_opacity: float,
    max_scale: float | None,
) -> Bool[Tensor, "N"]:
    """Those with too little opacity, or too large in the world (metres)."""
    found = gaussians.opacity_logits.detach().sigmoid() < min_opacity
    if max_scale is not None:
        found |= world_size(gaussians, face_scale) > max_scale
    return found


def reset_opacity(gaussians: RiggedGaussians, most: float) -> RiggedGaussians:
    """Opacities of at most `most`; those that no image needs stay low and are pruned."""
    limit = torch.tensor(most).logit().item()
    return replace(gaussians, opacity_logits=gaussians.opacity_logits.detach().clamp(max=limit))
