"""Lenses: which models are supported, and whether a frame can be undistorted.

The supported model is OpenCV's with five terms: radial k1 k2 k3, tangential p1 p2.
"""

import re
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float

from avatar.base.errors import UserError
from avatar.data.cameras import Cameras

TERMS = ("k1", "k2", "p1", "p2", "k3")  # in the order of `Cameras.distortion`
# Names that other programs give to models which the five terms cover.
MODELS = frozenset(
    {"PINHOLE", "SIMPLE_PINHOLE", "PERSPECTIVE", "OPENCV", "SIMPLE_RADIAL", "RADIAL", "RADTAN"}
    | {"PLUMB_BOB", "BROWN", "BROWN_CONRADY"}
)
_MODEL_KEY = re.compile(
    r"(camera|lens|distortion)_?(model|type)|projection(_?(model|type))?", re.IGNORECASE
)
_OTHER = re.compile(
    r"fish_?eye|equirect|lat_?long|omni|panoram|spheric|orthograph|orthophoto|f_?theta|kannala"
    r"|thin_?prism|division",
    re.IGNORECASE,
)
_TERM = re.compile(
    r"[kps]\d+|b[12]|(fl_)?skew|tau_?[xy]|xi|omega|ftheta\w*"
    r"|dist(ortion)?(_?(params?|parameters|coeff?s?|coefficients))?",
    re.IGNORECASE,
)
# Shares of a frame's pixels that may fold over or come from outside the source.
REFUSED_FOLDED, REFUSED_OUTSIDE, WARNED = 0.05, 0.5, 0.05
_GRID = 64  # samples along each side of a frame


def check_model(entry: dict[str, Any], where: str) -> None:
    """Refuse another program's camera whose lens has terms beyond TERMS.

    Args:
        entry: keys and values of a camera or frame.
        where: names it in messages.
    Raises:
        UserError: a model, flag or non-zero coefficient that is not supported.
    """
    for key, value in entry.items():
        kind = _kind(key)
        if kind == "model" and value is not None:
            if str(value).upper().replace("-", "_") not in MODELS:
                raise _unsupported(where, f"{key} {value!r}")
        elif (kind == "flag" and value) or (kind == "text" and _OTHER.search(str(value))):
            raise _unsupported(where, f"{key} {value!r}")
        elif kind == "term" and not _is_zero(value):
            raise _unsupported(where, f"lens term {key} = {value!r}")


@lru_cache(maxsize=256)
def _kind(key: str) -> str:
    """What a key of another program says about a lens: model, flag, term, maybe text, nothing."""
    if _MODEL_KEY.fullmatch(key):
        return "model"
    if _OTHER.search(key):
        return "flag"
    if key.lower() not in TERMS and _TERM.fullmatch(key):
        return "term"
    return "text" if key in ("model", "lens", "type") else ""


def _is_zero(value: object) -> bool:
    if isinstance(value, list | dict):
        return all(map(_is_zero, value.values() if isinstance(value, dict) else value))
    return value is None or value is False or value == 0


def _unsupported(where: str, what: str) -> UserError:
    return UserError(
        f"{where}: {what} is not supported, expected a pinhole camera with {' '.join(TERMS)} at "
        "most: undistort the images with that model first"
    )


def undistortion(cameras: Cameras, place: int) -> tuple[np.ndarray, np.ndarray]:
    """Where each pixel of the pinhole image with the same K lies in the distorted one.

    Returns:
        OpenCV's two maps for `remap`.
    """
    size = (int(cameras.sizes[place, 0]), int(cameras.sizes[place, 1]))
    K = cameras.Ks[place].copy()
    K[:2, 2] -= 0.5  # OpenCV puts the first pixel's centre at 0
    return cv2.initUndistortRectifyMap(
        K, cameras.distortion[place], np.eye(3), K, size, cv2.CV_16SC2
    )


def check_distortion(cameras: Cameras, place: int, where: str) -> str | None:
    """Check that undistorting leaves a picture.

    Args:
        place: of the camera in `cameras`.
        where: names the calibration in messages.
    Returns:
        A warning where part of the frame is lost, else None.
    Raises:
        UserError: most of the frame comes from outside the source, or the distortion cannot be
            inverted in a notable part of the frame.
    """
    terms = cameras.distortion[place]
    if not terms.any():
        return None
    folded, outside = _lost(cameras.Ks[place], terms, cameras.sizes[place])
    named = f"{where}: camera {cameras.ids[place]!r}: distortion {terms.tolist()}"
    if folded.mean() > REFUSED_FOLDED:
        raise UserError(
            f"{named} folds over in {folded.mean():.0%} of the frame: expected the OpenCV terms "
            f"{' '.join(TERMS)} of this K; calibrate again"
        )
    if outside.mean() > REFUSED_OUTSIDE:
        raise UserError(
            f"{named} leaves {1 - outside.mean():.0%} of the frame: expected the OpenCV terms "
            f"{' '.join(TERMS)} of this K; calibrate again"
        )
    lost = (folded | outside).mean()
    if lost > WARNED or folded.any():
        return f"{named} leaves {lost:.0%} of the frame without a picture: check the calibration"
    return None


def _lost(
    K: Float[np.ndarray, "3 3"], terms: Float[np.ndarray, "5"], size: np.ndarray
) -> tuple[Bool[np.ndarray, "G G"], Bool[np.ndarray, "G G"]]:
    """On a grid over the frame: where the distortion folds, and where its source is outside.

    The distortion folds where the determinant of its Jacobian is not positive, on the way from
    the centre to that pixel: beyond a fold the map may rise again.
    """
    width, height = size
    u, v = np.meshgrid(_middles(width), _middles(height))
    x, y = (u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1]
    with np.errstate(over="ignore", invalid="ignore"):
        distorted_x, distorted_y = _distorted(x, y, terms)
        seen_u, seen_v = distorted_x * K[0, 0] + K[0, 2], distorted_y * K[1, 1] + K[1, 2]
        inside = (seen_u >= 0) & (seen_u <= width) & (seen_v >= 0) & (seen_v <= height)
        along = [_determinant(x * part, y * part, terms) for part in np.linspace(0, 1, 17)]
        return ~(np.stack(along) > 0).all(0), ~inside


def _middles(length: float) -> Float[np.ndarray, "G"]:
    return (np.arange(_GRID) + 0.5) / _GRID * length


def _distorted(x: np.ndarray, y: np.ndarray, terms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """OpenCV's model, in units of the focal length."""
    k1, k2, p1, p2, k3 = terms
    square = x * x + y * y
    radial = 1 + square * (k1 + square * (k2 + square * k3))
    return (
        x * radial + 2 * p1 * x * y + p2 * (square + 2 * x * x),
        y * radial + p1 * (square + 2 * y * y) + 2 * p2 * x * y,
    )


def _determinant(x: np.ndarray, y: np.ndarray, terms: np.ndarray) -> np.ndarray:
    """Of the Jacobian of `_distorted`."""
    k1, k2, p1, p2, k3 = terms
    square = x * x + y * y
    radial = 1 + square * (k1 + square * (k2 + square * k3))
    slope = 2 * (k1 + square * (2 * k2 + square * 3 * k3))  # of radial, per x or y
    xx = radial + x * x * slope + 2 * p1 * y + 6 * p2 * x
    yy = radial + y * y * slope + 6 * p1 * y + 2 * p2 * x
    xy = x * y * slope + 2 * p1 * x + 2 * p2 * y
    return xx * yy - xy * xy
