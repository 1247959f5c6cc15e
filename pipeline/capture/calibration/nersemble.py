"""Calibration of NeRSemble: `camera_params.json`."""

from pathlib import Path
from typing import Any

import numpy as np

from avatar.base.errors import UserError
from avatar.data.cameras import VERSION, Cameras
from pipeline.capture.foreign import read_object
from pipeline.capture.lens import check_model

CALIBRATED_SIZE = (2200, 3208)  # of the one matrix that all cameras share


def read_cameras(path: Path, sizes: dict[str, tuple[int, int]]) -> Cameras:
    """Read `camera_params.json`.

    Args:
        sizes: width and height in pixels of the frames of every camera wanted.
    Raises:
        UserError: not such a file, a camera is missing, or the frames have another aspect ratio
            than the calibration.
    """
    params = read_object(path, "a NeRSemble calibration")
    check_model(params, str(path))
    poses, intrinsics = params.get("world_2_cam"), params.get("intrinsics")
    if not isinstance(poses, dict) or intrinsics is None:
        raise UserError(f"{path}: expected 'world_2_cam' and 'intrinsics': download it again")
    cameras = {}
    for serial, (width, height) in sizes.items():
        shared = not isinstance(intrinsics, dict)
        if serial not in poses or not (shared or serial in intrinsics):
            raise UserError(f"{path} lacks camera {serial!r}, which has clips: download it again")
        K = intrinsics if shared else intrinsics[serial]
        cameras[serial] = {
            "width": width,
            "height": height,
            "K": _scaled(K, serial, (width, height), path) if shared else K,
            "viewmat": poses[serial],
        }
    return Cameras.from_json({"version": VERSION, "units": "m", "cameras": cameras}, path)


def _scaled(K: Any, serial: str, size: tuple[int, int], path: Path) -> Any:
    """The shared matrix for frames that are smaller than those it was made for."""
    scale = size[0] / CALIBRATED_SIZE[0]
    if abs(size[1] - scale * CALIBRATED_SIZE[1]) > 2:
        expected = "{} x {}".format(*CALIBRATED_SIZE)
        raise UserError(
            f"{path}: camera {serial!r} has frames of {size[0]} x {size[1]}, the calibration is "
            f"for {expected} or a whole fraction of it: give uncropped videos"
        )
    try:
        return (np.diag([scale, scale, 1]) @ np.asarray(K, np.float64)).tolist()
    except (TypeError, ValueError, OverflowError):
        return K  # Cameras.from_json reports the error
