"""From decoded frames to RGB images as a viewer would see them."""

from pathlib import Path
from typing import Any

import av
import numpy as np
from jaxtyping import Int, UInt8

from avatar.base.errors import UserError

# Numbers of ITU-T H.273: matrices, and the unspecified one.
_MATRICES = {
    0: "RGB", 8: "YCgCo", 10: "BT.2020 with constant luminance", 11: "YDzDx",
    12: "chroma-derived", 13: "chroma-derived", 14: "ICtCp",
}  # fmt: skip
_UNSPECIFIED = 2


def has_alpha(frame: "av.VideoFrame") -> bool:
    """Whether the pixel format has an alpha channel."""
    return any(component.is_alpha for component in frame.format.components)


def to_rgb(path: Path, frame: "av.VideoFrame") -> UInt8[np.ndarray, "H W 3"]:
    """Convert as tagged; where no matrix is named, by size, as players do: BT.709 for HD.

    Transparent pixels are composited over black.

    Raises:
        UserError: the colours are coded by a matrix that cannot be converted.
    """
    untagged = int(frame.colorspace) == _UNSPECIFIED
    high = frame.width >= 1280 or frame.height > 576
    space = "ITU709" if untagged and high else None
    kind = "rgba" if has_alpha(frame) else "rgb24"
    try:
        image = frame.reformat(format=kind, src_colorspace=space, threads=1).to_ndarray()
    except (av.error.FFmpegError, ValueError, OSError):
        matrix = _MATRICES.get(int(frame.colorspace), f"number {int(frame.colorspace)}")
        raise UserError(
            f"{path}: its colours are coded by the matrix {matrix}, which is not supported: "
            "convert it to BT.709, for example to H.264 in yuv420p"
        ) from None
    if kind == "rgb24":
        return image
    weighted = image[..., :3].astype(np.uint16) * image[..., 3:]
    return ((weighted + 127) // 255).astype(np.uint8)


def display_matrix(frame: "av.VideoFrame") -> Int[np.ndarray, "2 2"]:
    """Signs of the display matrix: shown (x, y) = decoded (x, y) times it; identity if absent."""
    side: Any = frame.side_data.get("DISPLAYMATRIX")
    if side is None:
        return np.eye(2, dtype=int)
    fixed = np.frombuffer(bytes(side), "<i4").reshape(3, 3)[:2, :2]
    # Turns that are no quarter turns do not occur in cameras' files: the nearest one is taken.
    axes = abs(fixed) >= abs(fixed).max(1, keepdims=True)
    signs: np.ndarray = np.sign(fixed) * axes
    return signs if abs(np.linalg.det(signs)) == 1 else np.eye(2, dtype=int)


def turned(
    image: UInt8[np.ndarray, "H W D"], matrix: Int[np.ndarray, "2 2"]
) -> UInt8[np.ndarray, "h w D"]:
    """Carry pixels to where the display matrix shows them."""
    if matrix[0, 0] == 0:
        image = image.swapaxes(0, 1)
    flip_x, flip_y = matrix.sum(0) < 0
    return image[:: -1 if flip_y else 1, :: -1 if flip_x else 1]
