"""The camera of a frame in a transforms.json: OpenGL axes (y up, looking along -z) to ours."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from avatar.base.errors import UserError
from pipeline.capture.foreign import clean
from pipeline.capture.lens import TERMS

# How far poses of one camera may differ: metres, and entries of the rotation.
STILL = 1e-3
_OPTICS = ("w", "h", "fl_x", "fl_y", "cx", "cy", "camera_angle_x", "camera_angle_y", *TERMS)


def camera_of(frame: dict[str, Any], path: Path) -> str:
    """A frame's camera: its index, two digits so that names keep the order, or the file's name."""
    index = frame.get("camera_index")
    return f"{index:02d}" if isinstance(index, int) else clean(path.stem)


def pose(frame: dict[str, Any], where: Path) -> Float[np.ndarray, "4 4"]:
    """Camera to world, OpenCV axes."""
    try:
        matrix = np.asarray(frame.get("transform_matrix"), np.float64)
    except (TypeError, ValueError, OverflowError):
        matrix = np.empty(0)
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or abs(np.linalg.det(matrix)) < 1e-6:
        raise UserError(f"{where}: a frame's transform_matrix is no 4x4 pose: export it again")
    return matrix * [1, -1, -1, 1]


def same_optics(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two frames have the same size and lens, up to rounding."""
    return all(
        one.get(key) == other.get(key) or _close(one.get(key), other.get(key)) for key in _OPTICS
    )


def _close(one: Any, other: Any) -> bool:
    try:
        return math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-9)
    except (TypeError, OverflowError):  # no numbers, or too large for one
        return False


def entry_of(frame: dict[str, Any], viewmat: np.ndarray, where: Path) -> dict[str, Any]:
    """The entry of `cameras.json` for a frame's camera.

    Raises:
        UserError: its numbers are none.
    """
    try:
        width, height = float(frame["w"]), float(frame["h"])
        focal_x = _focal(frame, "x", width)
        if "fl_y" in frame or ("camera_angle_y" in frame and "fl_x" not in frame):
            focal_y = _focal(frame, "y", height)
        else:
            focal_y = focal_x
        centre = float(frame.get("cx", width / 2)), float(frame.get("cy", height / 2))
        lens = [float(frame.get(name, 0)) for name in TERMS]
    except (KeyError, TypeError, ValueError, ArithmeticError):
        raise UserError(f"{where}: a frame lacks w, h or fl_x: export it again") from None
    K = [[focal_x, 0, centre[0]], [0, focal_y, centre[1]], [0, 0, 1]]
    return {
        "width": width,
        "height": height,
        "K": K,
        "distortion": lens,
        "viewmat": viewmat.tolist(),
    }


def _focal(frame: dict[str, Any], axis: str, side: float) -> float:
    """Focal length in pixels along an axis, of its own key or of the angle of view."""
    if f"fl_{axis}" in frame:
        return float(frame[f"fl_{axis}"])
    return side / 2 / math.tan(float(frame[f"camera_angle_{axis}"]) / 2)
