"""COLMAP's text model (cameras.txt, images.txt) as `cameras.json`.

COLMAP's axes and pixels are ours: world to camera, +z forward, the first pixel's centre at (0.5,
0.5). Its scale is arbitrary, so the user gives it. Format: colmap.github.io/format.html.
"""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from avatar.base.errors import UserError
from avatar.data.cameras import VERSION, Cameras
from pipeline.capture.model import PREFIX

LONGEST_UNIT = 1000.0  # metres
# Which of fx fy cx cy k1 k2 p1 p2 k3 each parameter of a model is; 'f' is both focal lengths.
_MODELS = {
    "SIMPLE_PINHOLE": "f cx cy",
    "PINHOLE": "fx fy cx cy",
    "SIMPLE_RADIAL": "f cx cy k1",
    "RADIAL": "f cx cy k1 k2",
    "OPENCV": "fx fy cx cy k1 k2 p1 p2",
}


def read_colmap(folder: Path, metres: float) -> Cameras:
    """Read a sparse model with one image a camera.

    Args:
        folder: holds cameras.txt and images.txt. An image named `cam_<id>.png`, or lying in a
            folder `cam_<id>/`, is camera `<id>`; any other is named by its stem.
        metres: length of COLMAP's unit.
    Raises:
        UserError: not such files, a camera model with other lens terms, two images of a camera,
            or a length that is none.
    """
    if not 0 < metres <= LONGEST_UNIT:
        raise UserError(
            f"--metres is {metres:g}, expected the length of COLMAP's unit in metres, above 0 and "
            f"at most {LONGEST_UNIT:g}: measure a distance in the scene"
        )
    models: dict[str, dict[str, Any]] = {}
    for fields in _rows(folder / "cameras.txt"):
        if fields[0] in models:
            raise UserError(f"{folder}/cameras.txt: two cameras {fields[0]}: keep one")
        models[fields[0]] = _intrinsics(fields, folder / "cameras.txt")
    cameras: dict[str, dict[str, Any]] = {}
    for fields in _images(_rows(folder / "images.txt")):
        try:
            quaternion = np.array(fields[1:5], np.float64)
            translation = np.array(fields[5:8], np.float64) * metres
            camera, name = fields[8], " ".join(fields[9:])
            if not np.linalg.norm(quaternion) > 0:
                raise ValueError("no rotation")
        except (ValueError, IndexError):
            raise UserError(f"{folder}/images.txt: {' '.join(fields[:10])!r} is no image") from None
        if camera not in models:
            raise UserError(f"{folder}/images.txt: {name} has camera {camera}: not in cameras.txt")
        id_ = _camera_of(name)
        if id_ in cameras:
            raise UserError(f"{folder}/images.txt: two images of camera {id_!r}: keep one of each")
        viewmat = np.eye(4)
        viewmat[:3, :3], viewmat[:3, 3] = _rotation(quaternion), translation
        cameras[id_] = models[camera] | {"viewmat": viewmat.tolist()}
    value = {"version": VERSION, "units": "m", "cameras": cameras}
    return Cameras.from_json(value, folder / "images.txt")


def _rows(path: Path) -> list[list[str]]:
    """The fields of every line that is neither empty nor a comment."""
    if not path.is_file():  # a named pipe would block
        raise UserError(f"{path} is not a plain file: export the model as text")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as problem:
        raise UserError(f"{path}: cannot be read ({problem}): export the model as text") from None
    return [line.split() for line in lines if line.strip() and not line.startswith("#")]


def _images(rows: list[list[str]]) -> list[list[str]]:
    """The lines of images; each may be followed by a line of its points, X Y POINT3D_ID each."""
    images: list[list[str]] = []
    after_image = False
    for fields in rows:
        after_image = not (after_image and _is_points(fields))
        if after_image:
            images.append(fields)
    return images


def _is_points(fields: list[str]) -> bool:
    try:
        return len(fields) % 3 == 0 and len([float(field) for field in fields]) > 0
    except ValueError:
        return False


def _intrinsics(fields: list[str], path: Path) -> dict[str, Any]:
    model = fields[1] if len(fields) > 1 else ""
    if model not in _MODELS:
        raise UserError(
            f"{path}: camera model {model!r} is not supported, expected one of "
            f"{', '.join(_MODELS)}: undistort the images first"
        )
    keys = _MODELS[model].split()
    try:
        width, height = int(fields[2]), int(fields[3])
        given = dict(zip(keys, map(float, fields[4:]), strict=True))
    except (ValueError, IndexError):
        raise UserError(f"{path}: camera {fields[0]} is no {model}: export it again") from None
    focal_x, focal_y = given.get("fx", given.get("f")), given.get("fy", given.get("f"))
    return {
        "width": width,
        "height": height,
        "K": [[focal_x, 0, given["cx"]], [0, focal_y, given["cy"]], [0, 0, 1]],
        "distortion": [given.get(key, 0.0) for key in ("k1", "k2", "p1", "p2", "k3")],
    }


def _rotation(quaternion: Float[np.ndarray, "4"]) -> Float[np.ndarray, "3 3"]:
    """Of a quaternion w x y z."""
    w, x, y, z = quaternion / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def _camera_of(name: str) -> str:
    parts = Path(name).parts
    folder = next((part for part in parts[:-1] if part.startswith(PREFIX)), None)
    return (folder or Path(name).stem).removeprefix(PREFIX)
