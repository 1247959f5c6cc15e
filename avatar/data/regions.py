"""Which part of the person a face of the rig belongs to: torso, neck or head."""

import numpy as np
from jaxtyping import Int

from avatar.data.layout import HEAD, NECK, TORSO
from avatar.rig import HeadRig

# Skinning weight of the root from which a vertex of the neck mask counts as torso: just below the
# collar; a half would be in the middle of the neck.
CARRIED = 0.9


def face_regions(rig: HeadRig) -> Int[np.ndarray, "F"]:
    """Region of every face: what the root carries is torso, the rest of the neck mask is neck."""
    neck = rig.masks["neck"].cpu().numpy()
    torso = neck & (rig.skin_weights[:, 0] > CARRIED).cpu().numpy()
    of_vertex = np.where(torso, TORSO, np.where(neck, NECK, HEAD))
    # A face on a border goes to the lower part.
    return of_vertex[rig.faces.cpu().numpy()].min(1)
