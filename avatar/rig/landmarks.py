"""Where a detector's landmarks lie on a rig."""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Landmarks:
    """Where a detector's landmarks lie on the surface, and where it puts them instead.

    Attributes:
        ids [L]: MediaPipe face-mesh indices (0..477).
        faces [L], barycentric [L,3]: the surface point.
        spread [L]: m; deviation of the detections that were averaged: the weight of a landmark
            in a fit is its inverse square.
        response [L,3,1+S+E+9]: m in the head's frame; what the detector adds to the point, a
            constant and per unit of shape, expression and the jaw's rotation matrix (less the
            identity, row by row).
    """

    ids: Int[Tensor, "L"]
    faces: Int[Tensor, "L"]
    barycentric: Float[Tensor, "L 3"]
    spread: Float[Tensor, "L"]
    response: Float[Tensor, "L 3 K"]

    def points(
        self, verts: Float[Tensor, "*B V 3"], faces: Int[Tensor, "F 3"]
    ) -> Float[Tensor, "*B L 3"]:
        """The landmarks' positions on a posed mesh, in its frame and unit."""
        corners = verts[..., faces[self.faces], :]
        return (corners * self.barycentric[:, :, None]).sum(-2)
