"""Turn a calibration made elsewhere into `cameras.json`."""

from pathlib import Path

import numpy as np

from avatar.base.errors import UserError
from avatar.data.cameras import VERSION, Cameras
from pipeline.capture.calibration import nersemble, transforms
from pipeline.capture.foreign import read_object
from pipeline.capture.lens import check_model


def read_transforms(path: Path) -> Cameras:
    """The cameras of a transforms.json: one per camera_index, else one per image.

    Raises:
        UserError: not such a file, or a camera that moves.
    """
    value = read_object(path, "a transforms file")
    listed = value.pop("frames", None)
    if not isinstance(listed, list) or not all(isinstance(frame, dict) for frame in listed):
        raise UserError(f"{path}: expected a list 'frames'")
    cameras: dict[str, dict] = {}
    first: dict[str, dict] = {}
    for frame in ({**value, **frame} for frame in listed):
        check_model(frame, f"{path}: {str(frame.get('file_path'))!r}")
        camera = transforms.camera_of(frame, Path(str(frame.get("file_path", "0"))))
        viewmat = np.linalg.inv(transforms.pose(frame, path))
        entry = transforms.entry_of(frame, viewmat, path)
        same = cameras.setdefault(camera.removeprefix("cam_"), entry)
        if not np.allclose(same["viewmat"], viewmat, atol=transforms.STILL):
            raise UserError(f"{path}: camera {camera!r} moves: only cameras at rest are read")
        if not transforms.same_optics(first.setdefault(camera, frame), frame):
            raise UserError(f"{path}: camera {camera!r} changes its lens: expected one a camera")
    return Cameras.from_json({"version": VERSION, "units": "m", "cameras": cameras}, path)


def read_nersemble(path: Path, size: tuple[int, int]) -> Cameras:
    """All cameras of a camera_params.json for frames of `size`."""
    poses = read_object(path, "a NeRSemble calibration").get("world_2_cam")
    serials = sorted(poses) if isinstance(poses, dict) else []
    return nersemble.read_cameras(path, dict.fromkeys(serials, size))
