"""How far apart a detector finds the face's landmarks in a frame and in its render.

The rig's own landmarks drove the render, so they are no evidence of what it shows: both pictures
are given to MediaPipe's face mesh.
"""

import numpy as np
from jaxtyping import Float, UInt8

from pipeline.detect.face_mesh import LEFT_EYE, RIGHT_EYE, FaceMesh, quiet_stderr


class LandmarkDistance:
    """The measure, with its detector."""

    def __init__(self) -> None:
        self._mesh = FaceMesh(tracking=False)

    def __call__(
        self, image: UInt8[np.ndarray, "H W 3"], truth: UInt8[np.ndarray, "H W 3"]
    ) -> float:
        """Per cent of the distance of the truth's eyes; NaN where not both show a face."""
        with quiet_stderr():
            found, expected = (self._mesh.detect(picture) for picture in (image, truth))
        if not (len(found) and len(expected)):
            return float("nan")
        return distance(found[0], expected[0])


def distance(points: Float[np.ndarray, "478 2"], truth: Float[np.ndarray, "478 2"]) -> float:
    """Mean distance of landmarks in per cent of the distance of the truth's outer eye corners."""
    eyes = np.linalg.norm(truth[LEFT_EYE] - truth[RIGHT_EYE])
    return float(100 * np.linalg.norm(points - truth, axis=1).mean() / eyes)
