"""Face landmarks of images: those of one person where there are several.

A clip's landmarks are found in processes of their own: `pipeline.detect.processes`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8

from pipeline.detect import small_faces, subject_face
from pipeline.detect.face_mesh import (
    LEFT_EYE,
    LEFT_IRIS,
    NUM_LANDMARKS,
    RIGHT_EYE,
    RIGHT_IRIS,
    FaceFinder,
    FaceMesh,
    quiet_stderr,
)

__all__ = [
    "LEFT_EYE", "LEFT_IRIS", "NUM_LANDMARKS", "RIGHT_EYE", "RIGHT_IRIS", "Detections",
    "SampleDetector", "detect_images", "detect_subject", "of_subject", "one_each", "quiet_stderr",
]  # fmt: skip

MAX_FACES = 4  # of an image that shows more than one
SECONDS_APART = 0.5  # of samples: a subject may have moved about its own size
SAME = 0.1  # overlap of a mesh's box and a finder's, from which both are of the same face

Faces = Float[np.ndarray, "_ 478 2"]
Boxes = Float[np.ndarray, "_ 4"]  # left, top, right, bottom, pixels


@dataclass(frozen=True)
class Detections:
    """Landmarks of M frames.

    Attributes:
        points: pixels; the image's upper left corner is (0, 0), the first pixel's centre
            (0.5, 0.5). NaN where no face was found.
        found: whether there was a face and it is the subject's.
    """

    points: Float[np.ndarray, "M 478 2"]
    found: Bool[np.ndarray, "M"]

    @property
    def outliers(self) -> Bool[np.ndarray, "M"]:
        """Where a face was found that is not the subject's; its points are kept."""
        return ~self.found & np.isfinite(self.points[:, 0, 0])


def detect_images(
    images: Iterable[UInt8[np.ndarray, "H W 3"]], tracking: bool = False
) -> Detections:
    """Landmarks of RGB images: each on its own, or as one stream in order with `tracking`."""
    with FaceMesh(tracking) as mesh, quiet_stderr():
        found = [mesh.detect(image) for image in images]
    return one_each(found)


def detect_subject(images: list[UInt8[np.ndarray, "H W 3"]], boxes: list[Boxes]) -> Detections:
    """Landmarks of the subject in images of one camera, seconds apart.

    Args:
        boxes: of the faces that a `FaceFinder` saw in each image.
    """
    with (
        FaceMesh(tracking=False, most=MAX_FACES) as mesh,
        FaceMesh(tracking=False) as single,
        quiet_stderr(),
    ):
        found = [
            _with_small_ones(mesh.detect(image), image, places, single)
            for image, places in zip(images, boxes, strict=True)
        ]
    return of_subject(found, SECONDS_APART * np.arange(len(images)))


def _with_small_ones(
    faces: Faces,
    image: UInt8[np.ndarray, "H W 3"],
    boxes: Float[np.ndarray, "_ 4"],
    mesh: FaceMesh,
) -> Faces:
    """The faces of an image, and those at the boxes where there is none."""
    known = [np.concatenate([face.min(0), face.max(0)]).astype(float) for face in faces]
    missed = [box for box in boxes if all(small_faces.overlap(box, k) < SAME for k in known)]
    return np.concatenate([faces, small_faces.detect(image, np.array(missed).reshape(-1, 4), mesh)])


class SampleDetector:
    """Detects the subject in samples of one camera, seconds apart; its detectors are loaded."""

    def __init__(self) -> None:
        self._finder, self._mesh = FaceFinder(), FaceMesh(tracking=False)

    def __call__(
        self, images: Iterable[UInt8[np.ndarray, "H W 3"]]
    ) -> tuple[Detections, list[Boxes]]:
        """Landmarks of the subject, and the boxes of all faces in each image."""
        seen, found, places = [], [], []
        for image in images:
            with quiet_stderr():
                boxes, faces = self._finder.boxes(image), self._mesh.detect(image)
                if not len(faces):
                    boxes = boxes if len(boxes) else small_faces.find(image, self._finder)
                    faces = small_faces.detect(image, boxes[:1], self._mesh)
            seen.append(image)
            places.append(boxes)
            found.append(faces)
        crowd = any(len(boxes) > 1 for boxes in places)
        return detect_subject(seen, places) if crowd else one_each(found), places


def one_each(found: list[Faces]) -> Detections:
    """The first face of each image."""
    points = np.full((len(found), NUM_LANDMARKS, 2), np.nan, np.float32)
    for row, several in enumerate(found):
        if len(several):
            points[row] = several[0]
    return Detections(points, np.array([len(several) > 0 for several in found], bool))


def of_subject(found: list[Faces], time: Float[np.ndarray, "M"]) -> Detections:
    """Of the faces in each frame of a clip the subject's; where it is none of them, not `found`."""
    first = one_each(found)
    frame = np.repeat(np.arange(len(found)), [len(several) for several in found])
    faces = np.concatenate([*found, first.points[:0]])
    chosen = subject_face.choose(faces, frame, time)
    points = first.points.copy()
    points[chosen >= 0] = faces[chosen[chosen >= 0]]
    return Detections(points, chosen >= 0)
