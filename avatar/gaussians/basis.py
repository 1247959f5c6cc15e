"""The weights of expression-dependent detail: a few numbers that describe the expression.

The Gaussians' means and colours may change with these numbers (`basis_means`, `basis_colors` of
`avatar.gaussians.model`), beside being carried by the mesh: wrinkles and shading that the rig's
blendshapes do not have. The changes are linear and begin at zero. Idea: Li et al., "RGBAvatar:
Reduced Gaussian Blendshapes", 2025; here principal components take the place of a network.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatar.rig import RigParams

FADE = 0.5  # deviations of the first component; so far outside, detail is down to exp(-1/2)
_STILL = 1e-6  # coefficients or radians; below it is rounding


@dataclass(frozen=True)
class ExpressionSpace:
    """Weights from expression and jaw: principal components of the training timesteps.

    Attributes:
        mean: of expression and jaw together over the training timesteps.
        axes: components, scaled so that the first has deviation one there; later ones have less,
            in proportion, so that noise stays small.
        lowest, highest: each component's range there. Weights do not leave it, and fade away
            where the expression does: detail of expressions that were seen says nothing of others.
    """

    mean: Float[Tensor, "D"]
    axes: Float[Tensor, "D K"]
    lowest: Float[Tensor, "K"]
    highest: Float[Tensor, "K"]

    @classmethod
    def fit(cls, params: RigParams, timesteps: Int[Tensor, "S"], size: int) -> "ExpressionSpace":
        """Principal components of some timesteps; expression and jaw count alike.

        Args:
            timesteps: those that training sees.
            size: K; components that the timesteps do not have are zero.
        """
        groups = [params.expr[timesteps].double(), params.jaw_pose[timesteps].double()]
        centred = [group - group.mean(0) for group in groups]
        # Coefficients and radians have no common unit: each group gets a mean square length of 1.
        lengths = [group.square().sum(1).mean().sqrt() for group in centred]
        # A group that does not move has no direction: it is left at (almost) zero.
        units = [length if length > _STILL else torch.ones_like(length) for length in lengths]
        data = torch.cat([g / unit for g, unit in zip(centred, units, strict=True)], 1)
        _, deviations, turned = torch.linalg.svd(data, full_matrices=False)
        kept = min(size, int((deviations > _STILL * max(1.0, float(deviations[0]))).sum()))
        axes = torch.zeros(data.shape[1], size, dtype=torch.float64)
        first = deviations[0] / len(data) ** 0.5
        axes[:, :kept] = turned[:kept].T / first.clamp(min=_STILL)
        scale = torch.cat([u.expand(g.shape[1]) for g, u in zip(groups, units, strict=True)])
        axes = axes / scale[:, None]
        weights = torch.cat(centred, 1) @ axes
        mean = torch.cat([group.mean(0) for group in groups])
        return cls(*(v.float() for v in (mean, axes, weights.amin(0), weights.amax(0))))

    def weights(
        self, expr: Float[Tensor, "*B E"], jaw_pose: Float[Tensor, "*B 3"]
    ) -> Float[Tensor, "*B K"]:
        """The weights of poses, without gradients; within the range that training saw."""
        found = (torch.cat([expr, jaw_pose], -1).detach() - self.mean) @ self.axes
        within = found.clamp(self.lowest, self.highest)
        beyond = (found - within).square().sum(-1, keepdim=True)
        return within * torch.exp(-beyond / (2 * FADE**2))

    def to(self, device: torch.device | str) -> "ExpressionSpace":
        """The same space on a device."""
        return ExpressionSpace(**{name: value.to(device) for name, value in vars(self).items()})
