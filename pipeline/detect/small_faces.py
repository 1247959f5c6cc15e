"""Faces that are too small in the image for the face mesh's own detection.

The mesh's landmarks are as good on a small face as on a large one, given where it is: only its
first detection works on an image of 128 x 128 pixels. So a small face is found by the detector for
far faces, in the whole image or in tiles, and the mesh gets it enlarged.
"""

import itertools

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from pipeline.detect.face_mesh import FaceFinder, FaceMesh

TILE = 1250  # px; a face of 100 px is at least 8 % of every tile: found with certainty
SMALL = 0.15  # of the longer side; a larger face is left to the mesh's own detection
ENOUGH = 0.13, 0.2, 0.3  # of the longer side, to which a face is enlarged, one after the other
STEP = 1.15  # by which the enlargement is taken back from image to image; the tracker follows
AROUND = 2.5  # sides of a crop in sizes of its face
RETRY = 8  # images without a face between two searches

Box = Float[np.ndarray, "4"]
Image = UInt8[np.ndarray, "H W 3"]


def find(image: Image, finder: FaceFinder) -> Float[np.ndarray, "K 4"]:
    """Boxes (left, top, right, bottom, px) of faces of any size from about 100 pixels on.

    The whole image first, then tiles of half the side, and so on while a face of 100 pixels may
    be too small in a tile; the first size of tile that shows a face ends the search.
    """
    side = max(image.shape[:2])
    boxes = finder.boxes(image)
    while not len(boxes) and side > TILE:
        side //= 2
        boxes = _in_tiles(image, side, finder)
    return boxes


def _in_tiles(image: Image, side: int, finder: FaceFinder) -> Float[np.ndarray, "K 4"]:
    """Boxes in square tiles that overlap by half; each face once."""
    height, width = image.shape[:2]
    boxes: list[Box] = []
    for top, left in itertools.product(_starts(height, side), _starts(width, side)):
        for box in finder.boxes(image[top : top + side, left : left + side]):
            moved = box + np.array([left, top, left, top])
            if not any(overlap(moved, other) > 0.3 for other in boxes):
                boxes.append(moved)
    return np.array(boxes).reshape(-1, 4)


def _starts(length: int, side: int) -> list[int]:
    """First pixels of tiles that cover a length, half a tile apart or less."""
    count = max(1, int(np.ceil(2 * (length - side) / side)) + 1)
    return np.linspace(0, max(0, length - side), count).round().astype(int).tolist()


def overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes."""
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    both = np.prod(np.maximum(high - low, 0))
    return float(both / (np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2]) - both))


def detect(
    image: Image, boxes: Float[np.ndarray, "K 4"], mesh: FaceMesh
) -> Float[np.ndarray, "J 478 2"]:
    """Landmarks of faces at known places; a place where the mesh finds no face is left out.

    Args:
        mesh: one that treats every image on its own.
    """
    found = []
    for box in boxes:
        crop, corner = _crop(image, box)
        faces = mesh.detect(crop)
        if len(faces):
            nearest = np.linalg.norm(faces.mean(1) + corner - (box[:2] + box[2:]) / 2, axis=1)
            found.append(faces[nearest.argmin()] + np.float32(corner))
    return np.array(found, np.float32).reshape(-1, 478, 2)


def _crop(image: Image, box: Box) -> tuple[UInt8[np.ndarray, "h w 3"], Float[np.ndarray, "2"]]:
    """The image around a box, and its corner."""
    reach = AROUND / 2 * float((box[2:] - box[:2]).max())
    centre, size = (box[:2] + box[2:]) / 2, np.array(image.shape[1::-1])
    first = np.clip(np.floor(centre - reach), 0, size - 1).astype(int)
    last = np.clip(np.ceil(centre + reach), first + 1, size).astype(int)
    return image[first[1] : last[1], first[0] : last[0]], first.astype(float)


class Follower:
    """The face mesh on one stream of images, which takes up small faces too.

    Args:
        mesh: one that tracks.
    """

    def __init__(self, mesh: FaceMesh, finder: FaceFinder) -> None:
        self._mesh, self._finder = mesh, finder
        self._without = 0

    def detect(self, image: Image) -> Float[np.ndarray, "K 478 2"]:
        """The landmarks (px) of each face in the stream's next image."""
        faces = self._mesh.detect(image)
        if len(faces):
            self._without = 0
        elif self._without % RETRY == 0:
            faces = self._take_up(image)
        self._without += not len(faces)
        return faces

    def _take_up(self, image: Image) -> Float[np.ndarray, "K 478 2"]:
        """Find the largest small face, and lead the tracker to it from an enlarged image."""
        nobody = np.zeros((0, 478, 2), np.float32)
        boxes = find(image, self._finder)
        if not len(boxes):
            return nobody
        widths = (boxes[:, 2:] - boxes[:, :2]).max(1)
        share = widths.max() / max(image.shape[:2])
        if share > SMALL:
            return nobody
        box = boxes[widths.argmax()]
        for enough in ENOUGH:
            zoom = max(STEP, enough / share)
            while zoom > 1 and len(self._mesh.detect(_enlarged(image, box, zoom))):
                zoom /= STEP
            if zoom <= 1:
                return self._mesh.detect(image)
        return nobody


def _enlarged(image: Image, box: Box, zoom: float) -> Image:
    """An image of the same size, enlarged about the middle of a box, which stays in its place."""
    shift = (1 - zoom) * (box[:2] + box[2:]) / 2
    matrix = np.array([[zoom, 0, shift[0]], [0, zoom, shift[1]]])
    enlarged: Image = cv2.warpAffine(image, matrix, image.shape[1::-1])
    return enlarged
