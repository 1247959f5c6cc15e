"""A head that the detector finds."""

import numpy as np
import pytest

from avatar.render.mesh import shade
from avatar.rig import HeadRig
from tests.unit.pipeline.track.capture import plain_colours

SIZE = 256


@pytest.fixture(scope="module")
def face(anny_rig: HeadRig) -> np.ndarray:
    """A plain head that looks at the camera."""
    viewmat = np.eye(4)
    viewmat[:3, :3] = np.diag([1, -1, -1])
    viewmat[2, 3] = 0.9
    K = np.array([[2.5 * SIZE, 0, SIZE / 2], [0, 2.5 * SIZE, SIZE / 2], [0, 0, 1]])
    verts, faces = anny_rig.v_template.numpy().astype(float), anny_rig.faces.numpy()
    image, _ = shade(verts, faces, plain_colours(anny_rig), viewmat, K, SIZE, SIZE, 0.6)
    return (image * 255).astype(np.uint8)
