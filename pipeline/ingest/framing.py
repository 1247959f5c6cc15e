"""From a source frame to a stored one: lens, window, size, colour, and the way back."""

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from avatar.data.cameras import Cameras
from pipeline import media
from pipeline.capture.colour import ColourCorrection
from pipeline.capture.lens import undistortion

# A whole factor is taken unless it costs more than this share of the pixels that fit.
MOST_LOST = 0.25


@dataclass(frozen=True)
class Framing:
    """How one camera's frames become stored frames.

    Attributes:
        source_size: width and height of a source frame, pixels.
        window: x, y, width, height of the part that is kept, source pixels (undistorted).
        size: width and height of a stored frame.
        maps: where each undistorted pixel comes from (OpenCV's remap), or None.
        colour: the camera's colour correction, or None.
        other_faces: left, top, right, bottom (source pixels) of faces beside the subject's.
    """

    source_size: tuple[int, int]
    window: tuple[int, int, int, int]
    size: tuple[int, int]
    maps: tuple[np.ndarray, np.ndarray] | None = None
    colour: ColourCorrection | None = None
    other_faces: tuple[tuple[float, ...], ...] = ()

    def apply(self, image: UInt8[np.ndarray, "H W 3"], source: str) -> UInt8[np.ndarray, "h w 3"]:
        """Bring one source frame to what is stored.

        Raises:
            UserError: its size is not `source_size`; `source` names the file.
        """
        if self.maps is None:
            return self.finish(media.Window(self.source_size, self.window).cut(image, source))
        whole = media.Window(self.source_size, (0, 0, *self.source_size)).cut(image, source)
        straight = cv2.remap(whole, *self.maps, cv2.INTER_LINEAR)
        return self.finish(media.Window(self.source_size, self.window).cut(straight, source))

    @property
    def early(self) -> media.Window | None:
        """The window, where it can be cut before anything else is done."""
        return media.Window(self.source_size, self.window) if self.maps is None else None

    def finish(self, image: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "h w 3"]:
        """Bring the window of a frame to size and correct its colours."""
        image = _resized(image, self.size)
        return np.ascontiguousarray(self.colour.apply(image) if self.colour else image)

    @property
    def matrix(self) -> Float[np.ndarray, "3 3"]:
        """Carries homogeneous source pixels (undistorted) to stored pixels."""
        x, y, width, height = self.window
        scale_x, scale_y = self.size[0] / width, self.size[1] / height
        return np.array([[scale_x, 0, -x * scale_x], [0, scale_y, -y * scale_y], [0, 0, 1]])

    def to_json(self) -> dict[str, Any]:
        """For index.json; `center` (the source's) and `other_faces` are in stored pixels."""
        width, height = self.source_size
        center = self.matrix @ [width / 2, height / 2, 1]
        corners = np.reshape(self.other_faces, (-1, 2, 2))
        other_faces = corners * np.diag(self.matrix)[:2] + self.matrix[:2, 2]
        return {
            "source_size": list(self.source_size),
            "window": list(self.window),
            "size": list(self.size),
            "scale": [self.matrix[0, 0], self.matrix[1, 1]],
            "center": center[:2].tolist(),
            "other_faces": other_faces.reshape(-1, 4).round(1).tolist(),
            "undistorted": self.maps is not None,
            "colour": self.colour.matrix.tolist() if self.colour else None,
        }

    @classmethod
    def from_json(cls, entry: dict[str, Any], cameras: Cameras | None, place: int) -> "Framing":
        """The framing of an index.json entry; `cameras` are those of the capture."""
        width, height = entry["source_size"]
        x, y, window_width, window_height = entry["window"]
        maps = None
        if entry["undistorted"]:
            assert cameras is not None, "only calibrated cameras are undistorted"
            maps = undistortion(cameras, place)
        colour = entry["colour"] and ColourCorrection(np.array(entry["colour"]))
        size = tuple(entry["size"])
        return cls((width, height), (x, y, window_width, window_height), size, maps, colour)


def _resized(image: UInt8[np.ndarray, "H W 3"], size: tuple[int, int]) -> np.ndarray:
    """Resize without aliasing: means where the shrinking is whole, else a low pass and cubics.

    The low pass leaves what the new raster can hold; with cubics that is closer to an ideal filter
    than means over parts of pixels, and a third of the work.
    """
    height, width = image.shape[:2]
    if (width, height) == size:
        return image
    if width % size[0] == 0 and height % size[1] == 0:
        return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    shrinking = max(width / size[0], height / size[1])
    if shrinking > 1:
        sigma = 0.55 * np.sqrt(shrinking**2 - 1)
        radius = int(np.ceil(1.5 * sigma))
        image = cv2.GaussianBlur(image, (2 * radius + 1, 2 * radius + 1), sigma)
    return cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)


def calibrated(
    cameras: Cameras, place: int, size: int, colour: ColourCorrection | None = None
) -> Framing:
    """Undistort, then shrink the longer side to `size` or less.

    By a whole number, where that keeps most of the pixels that fit; columns and rows that do not
    fill a stored pixel are then cut off at the right and the bottom. Else to `size` itself.
    """
    width, height = (int(side) for side in cameras.sizes[place])
    maps = undistortion(cameras, place) if cameras.distortion[place].any() else None
    factor = max(1, -(-max(width, height) // size))
    if (max(width, height) // factor / min(size, max(width, height))) ** 2 < 1 - MOST_LOST:
        return replace(windowed((width, height), None, size), maps=maps, colour=colour)
    kept = (width // factor * factor, height // factor * factor)
    stored = (kept[0] // factor, kept[1] // factor)
    return Framing((width, height), (0, 0, *kept), stored, maps, colour)


def windowed(
    source_size: tuple[int, int], window: tuple[int, int, int, int] | None, size: int
) -> Framing:
    """Keep a window (None: all) and resize its longer side to `size`."""
    window = window or (0, 0, *source_size)
    scale = size / max(window[2:])
    return Framing(
        source_size, window, (max(1, round(window[2] * scale)), max(1, round(window[3] * scale)))
    )
