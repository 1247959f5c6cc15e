"""Identity and static offsets as unknowns of training: the depth that parallax shows."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from avatar.rig import HeadRig, RigParams
from avatar.rig.smooth import Smoother
from avatar.train.presets import RigTuning


class Identity:
    """Changes of the given identity and static offsets, those that have a rate.

    Attributes:
        leaves: `shape` [S], in the rig's deviations, and `static_offset` [V,3], metres before
            smoothing; zero at first.
    """

    def __init__(self, rig: HeadRig, params: RigParams, tuning: RigTuning) -> None:
        self.leaves: dict[str, Tensor] = {}
        if tuning.shape:
            self.leaves["shape"] = torch.zeros_like(params.shape)
        if tuning.static_offset:
            self.leaves["static_offset"] = torch.zeros_like(params.static_offset)
            self._smoother = Smoother(rig.faces, rig.num_verts)

    def of(self, params: RigParams) -> dict[str, Float[Tensor, "..."]]:
        """Identity and static offsets as changed, those that change."""
        changed: dict[str, Any] = {}
        if "shape" in self.leaves:
            changed["shape"] = params.shape + self.leaves["shape"]
        if "static_offset" in self.leaves:
            change = self._smoother(self.leaves["static_offset"])
            changed["static_offset"] = params.static_offset + change
        return changed
