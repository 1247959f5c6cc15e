"""Which part of a mask of several persons is the subject's."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from numba import njit

from pipeline.detect.persons import Persons
from pipeline.matte.backends import Image
from pipeline.matte.masks import person_masks
from pipeline.matte.refine import shrink

# What belongs to a person for certain, in face sizes: half the width and half the height of the
# head, half the width of the chest and where it begins and ends below the face's middle. Small:
# whoever stands behind is covered from the shoulders on.
HEAD = 0.5, 0.7
CHEST, COLLAR = 0.2, (0.9, 1.3)
# The half widths at most, of the way between two persons.
NEAR = 0.35
# A way through an edge costs as much as one of so many face sizes; through the background, times
# as much as through a person.
EDGE, OUTSIDE = np.float32(4.0), np.float32(3.0)
# Of the difference of two distances, face sizes: within, a pixel is shared.
SOFT = 0.04
MEMORY = np.float32(0.5)  # weight of the frames before
BESIDE = np.float32(0.3)  # face sizes by which a person outside the image must be nearer
FAR = np.float32(1e6)
SWEEPS = 3  # there and back, for ways around corners

Mask = Float[np.ndarray, "h w"]


class Separation:
    """Tells the subject of one clip from other persons, steadily over time.

    A pixel belongs to the person whose head and chest are nearer, in units of the person's face;
    the way to it is longer where it crosses edges of the image or leaves the mask. So the border
    between two touching persons follows the outline of clothes or hair where there is one, and
    runs halfway where there is none.
    """

    def __init__(self) -> None:
        self._masks = person_masks()
        self._difference: Mask | None = None

    def __call__(self, image: Image, persons: Persons) -> tuple[Mask, float]:
        """How much of each pixel's person is the subject.

        Args:
            image: the clip's next one.
            persons: faces, pixels of the image.
        Returns:
            0..1 at working size, and how much of the image is other persons, 0..1.
        """
        small = shrink(image)
        mask = self._masks(small)
        if not len(persons.others):
            self._difference = None
            return np.ones_like(mask), 0.0
        scale = small.shape[1] / image.shape[1]
        faces = scale * np.concatenate([persons.subject[None], persons.others])
        share = self._share(_difference(small, mask, faces))
        return share, float((mask * (1 - share)).mean())

    def _share(self, difference: Mask) -> Mask:
        """Steadied over time, and with a soft border."""
        if self._difference is not None:
            difference = difference + MEMORY * (self._difference - difference)
        self._difference = difference
        return np.clip(0.5 + difference / np.float32(2 * SOFT), 0, 1).astype(np.float32)


def _difference(
    small: UInt8[np.ndarray, "h w 3"], mask: Mask, faces: Float[np.ndarray, "K 4"]
) -> Mask:
    """How much farther (face sizes) the nearest other person is than the subject, the first.

    A person whose face is outside the image is looked for near that face alone, without regard to
    edges: those of the subject's own clothes would count for the other.
    """
    cost, edges = (1 + OUTSIDE * (mask < 0.5)).astype(np.float32), EDGE * _edges(small)
    centres, sizes = (faces[:, :2] + faces[:, 2:]) / 2, _sizes(faces)
    starts = _starts(centres, sizes, mask.shape)

    def distance(k: int, weight: float) -> Mask:
        way: Mask = _swept(starts[k], cost + np.float32(weight * sizes[k]) * edges, SWEEPS)
        return way / np.float32(sizes[k])

    outside = ((centres < 0) | (centres >= mask.shape[::-1])).any(1)
    others = [k for k in range(1, len(faces)) if not outside[k]]
    unseen = [k for k in range(1, len(faces)) if outside[k]]
    differences = []
    if others:
        differences.append(np.min([distance(k, 1) for k in others], axis=0) - distance(0, 1))
    if unseen:
        ways = [_way(centres[k], sizes[k], mask.shape) for k in unseen]
        differences.append(np.min(ways, axis=0) + BESIDE - distance(0, 0))
    difference: Mask = np.min(differences, axis=0)
    return difference


def _way(centre: Float[np.ndarray, "2"], size: float, shape: tuple[int, ...]) -> Mask:
    """Distance (face sizes) of each pixel from a head."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    way = np.hypot(x - centre[0], y - centre[1]) / size - HEAD[0]
    return np.maximum(way, 0).astype(np.float32)


def _sizes(faces: Float[np.ndarray, "K 4"]) -> Float[np.ndarray, "K"]:
    return np.maximum((faces[:, 2:] - faces[:, :2]).max(1), 1.0)


def _starts(
    centres: Float[np.ndarray, "K 2"], sizes: Float[np.ndarray, "K"], shape: tuple[int, ...]
) -> list[Mask]:
    """Distances to begin with: 0 where a person is for certain, `FAR` elsewhere."""
    claims = _claims(centres, sizes, shape)
    contested = claims.sum(0) > 1
    return [np.where((claim > 0) & ~contested, np.float32(0), FAR) for claim in claims]


def _claims(
    centres: Float[np.ndarray, "K 2"], sizes: Float[np.ndarray, "K"], shape: tuple[int, ...]
) -> UInt8[np.ndarray, "K h w"]:
    """Head and chest of each person."""
    claims = np.zeros((len(centres), *shape), np.uint8)
    for k, (centre, size) in enumerate(zip(centres, sizes, strict=True)):
        apart = NEAR * np.linalg.norm(np.delete(centres, k, axis=0) - centre, axis=1).min()
        x, y = (round(float(value)) for value in centre)
        axes = (round(min(HEAD[0] * size, apart)), round(HEAD[1] * size))
        cv2.ellipse(claims[k], (x, y), axes, 0, 0, 360, (1,), -1)
        chest = round(min(CHEST * size, apart))
        top, bottom = (round(y + part * size) for part in COLLAR)
        cv2.rectangle(claims[k], (x - chest, top), (x + chest, bottom), (1,), -1)
    return claims


def _edges(small: UInt8[np.ndarray, "h w 3"]) -> Mask:
    """How much the colour changes at each pixel: 0..1."""
    smooth = cv2.GaussianBlur(small, (0, 0), 1.0)
    across: np.ndarray = cv2.Sobel(smooth, cv2.CV_32F, 1, 0)
    along: np.ndarray = cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    change: Mask = np.sqrt(across**2 + along**2).max(2) * np.float32(1 / (4 * 255))
    return change


@njit(cache=True, nogil=True)
def _swept(distance, cost, sweeps):
    """Lengths of the shortest ways, by sweeps over the image, there and back."""
    distance = distance.copy()
    height, width = distance.shape
    diagonal = np.float32(1.4142135)
    for sweep in range(2 * sweeps):
        step = 1 if sweep % 2 == 0 else -1
        for j in range(height):
            y = j if step == 1 else height - 1 - j
            for i in range(width):
                x = i if step == 1 else width - 1 - i
                best = distance[y, x]
                c = cost[y, x]
                if 0 <= x - step < width:
                    best = min(best, distance[y, x - step] + c)
                if 0 <= y - step < height:
                    best = min(best, distance[y - step, x] + c)
                    if x > 0:
                        best = min(best, distance[y - step, x - 1] + diagonal * c)
                    if x < width - 1:
                        best = min(best, distance[y - step, x + 1] + diagonal * c)
                distance[y, x] = best
    return distance
