import numpy as np
import torch

from avatar.data.layout import HEAD, NECK, TORSO
from avatar.data.regions import face_regions
from tests.rigs import toy_rig


def test_what_the_root_carries_is_torso() -> None:
    rig = toy_rig()
    neck = torch.zeros(rig.num_verts, dtype=torch.bool)
    neck[rig.faces[:2].flatten()] = True
    rig.masks["neck"] = neck
    weights = rig.skin_weights.clone()
    weights[:] = torch.tensor([0.1, 0.9, 0, 0, 0])
    weights[rig.faces[0]] = torch.tensor([1.0, 0, 0, 0, 0])
    rig.skin_weights = weights
    regions = face_regions(rig)
    assert regions[0] == TORSO
    of_vertex = np.full(rig.num_verts, HEAD)
    of_vertex[rig.faces[1]], of_vertex[rig.faces[0]] = NECK, TORSO
    np.testing.assert_array_equal(regions, of_vertex[rig.faces.numpy()].min(1))
    assert set(regions.tolist()) >= {TORSO, HEAD}
