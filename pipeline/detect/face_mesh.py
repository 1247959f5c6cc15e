"""The one place that knows MediaPipe's face detectors.

The face mesh gives 478 points: 468 on the face and five on either iris (468-472 the subject's
right, 473-477 the left; the first of each five is the centre). MediaPipe is imported only when
a detector is made.

A graph of MediaPipe's that still runs while the interpreter shuts down can abort the process: its
threads ask for the interpreter's lock and are ended instead. So each detector is closed when it is
no longer used, at the latest before the shutdown (`weakref.finalize`).
"""

import contextlib
import os
import sys
import weakref
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, UInt8

from pipeline.detect.mediapipe_import import import_mediapipe

NUM_LANDMARKS = 478
RIGHT_IRIS, LEFT_IRIS = 468, 473
RIGHT_EYE, LEFT_EYE = 33, 263  # outer corners, the subject's right and left


class FaceMesh:
    """MediaPipe's face mesh on one stream of images.

    Its own detection finds faces of about a tenth of the image's longer side and more; smaller
    ones are found by `pipeline.detect.small_faces`.

    Args:
        tracking: search near the previous image's face (video of one camera, in order; less
            jitter, faster) or treat every image on its own.
        most: how many faces to look for; more than one is several times slower.
    """

    def __init__(self, tracking: bool = True, most: int = 1) -> None:
        import_mediapipe()
        with quiet_stderr():
            from mediapipe.python.solutions.face_mesh import FaceMesh as MediaPipeFaceMesh

            self._mesh = MediaPipeFaceMesh(
                static_image_mode=not tracking,
                max_num_faces=most,
                refine_landmarks=True,
                min_detection_confidence=0.5,
                min_tracking_confidence=0.5,
            )
            self._mesh._graph.wait_until_idle()  # its threads print while they load the networks
        self.close = weakref.finalize(self, self._mesh.close)

    def detect(self, image: UInt8[np.ndarray, "H W 3"]) -> Float[np.ndarray, "K 478 2"]:
        """The landmarks of each face in one RGB image, pixels."""
        result = self._mesh.process(np.ascontiguousarray(image))
        found = result.multi_face_landmarks or []
        points = [[(point.x, point.y) for point in face.landmark] for face in found]
        size = np.array(image.shape[1::-1], np.float32)
        return np.array(points, np.float32).reshape(-1, NUM_LANDMARKS, 2) * size

    def __enter__(self) -> "FaceMesh":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class FaceFinder:
    """Where faces are, without landmarks: how many, and with which score."""

    def __init__(self) -> None:
        import_mediapipe()
        with quiet_stderr():
            from mediapipe.python.solutions.face_detection import FaceDetection

            far = FaceDetection(model_selection=1, min_detection_confidence=0.6)
            near = FaceDetection(model_selection=0, min_detection_confidence=0.1)
            for detector in (far, near):
                detector._graph.wait_until_idle()  # as above
        self._far, self._near = far, near

        def close() -> None:
            far.close()
            near.close()

        self.close = weakref.finalize(self, close)

    def boxes(self, image: UInt8[np.ndarray, "H W 3"]) -> Float[np.ndarray, "K 4"]:
        """Left, top, right, bottom (px) of each face in an RGB image, the surest first.

        Faces of a twentieth of the longer side and more are found.
        """
        found = self._far.process(np.ascontiguousarray(image)).detections or []
        relative = [face.location_data.relative_bounding_box for face in found]
        corners = [(b.xmin, b.ymin, b.xmin + b.width, b.ymin + b.height) for b in relative]
        size = np.tile(np.array(image.shape[1::-1], float), 2)
        order = np.argsort([-face.score[0] for face in found], kind="stable")
        boxes: Float[np.ndarray, "K 4"] = (np.array(corners).reshape(-1, 4) * size)[order]
        return boxes

    def score(self, image: UInt8[np.ndarray, "H W 3"]) -> float:
        """Score (0..1) of the surest face; the highest where it stands upright.

        Measured on six persons: 0.92 to 0.97 upright, 0.74 to 0.94 lying, 0 to 0.79 upside
        down, where the face mesh finds a face all the same, but puts the eyes on the mouth.
        """
        found = self._near.process(np.ascontiguousarray(image)).detections or []
        return max((float(face.score[0]) for face in found), default=0.0)


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Send what native libraries print to stderr nowhere, for the block."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
