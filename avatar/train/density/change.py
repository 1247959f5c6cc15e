"""The result of a round of density control: a selection of rows, and new values for some of them.

Both kinds of control return it; the optimiser's moments follow.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from avatar.gaussians.model import RiggedGaussians


@dataclass(frozen=True)
class Change:
    """A new set of Gaussians: row `source[i]` of the old, or made from it where `fresh[i]`."""

    gaussians: RiggedGaussians
    source: Int[Tensor, "M"]
    fresh: Bool[Tensor, "M"]


def select(gaussians: RiggedGaussians, rows: Int[Tensor, "M"]) -> RiggedGaussians:
    """The given rows, in that order, with their binding."""
    return RiggedGaussians(**{name: value[rows] for name, value in gaussians.tensors().items()})


def world_size(gaussians: RiggedGaussians, face_scale: Float[Tensor, "F"]) -> Float[Tensor, "N"]:
    """Largest standard deviation of each, metres, on a mesh whose faces have these scales (m)."""
    return gaussians.log_scales.detach().exp().amax(1) * face_scale[gaussians.binding]


def emptied(gaussians: RiggedGaussians, unwanted: Bool[Tensor, "N"]) -> Bool[Tensor, "N"]:
    """The Gaussians of every face all of whose Gaussians are unwanted."""
    binding = gaussians.binding
    kept = torch.zeros(int(binding.max()) + 1, dtype=torch.int64, device=binding.device)
    kept.index_add_(0, binding, (~unwanted).long())
    return kept[binding] == 0


def last_of_face(gaussians: RiggedGaussians, unwanted: Bool[Tensor, "N"]) -> Bool[Tensor, "N"]:
    """The most opaque Gaussian (the first of equals) of every face whose every one is unwanted."""
    order = gaussians.opacity_logits.detach().argsort(descending=True, stable=True)
    faces = gaussians.binding[order]
    by_face = faces.argsort(stable=True)
    sorted_faces = faces[by_face]
    first = torch.ones_like(sorted_faces, dtype=torch.bool)
    first[1:] = sorted_faces[1:] != sorted_faces[:-1]
    best = torch.zeros_like(unwanted)
    best[order[by_face[first]]] = True
    return best & emptied(gaussians, unwanted)
