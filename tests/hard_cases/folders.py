"""Captures of several clips, plates and images."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tests.hard_cases.case import case
from tests.hard_cases.clips import encode, pictures
from tests.media_files import camera, write_cameras


def two_cameras(folder: Path, frames: int = 8, **changes: Any) -> Path:
    """A calibrated capture of one sequence and two cameras."""
    for name in ("0", "1"):
        encode(folder / f"c/talk/cam_{name}.mp4", pictures(frames))
    write_cameras(folder / "c", {"0": camera(), "1": camera(**changes)})
    return folder / "c"


def _rig(**changes: Any) -> Callable[[Path], Path]:
    return lambda folder: two_cameras(folder, **changes)


def _touched(*names: str) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        (folder / "c").mkdir()
        for name in names:
            path = folder / "c" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
        return folder / "c"

    return build


case("two calibrated cameras", "pass", quick=True)(two_cameras)
case("empty folder", "error", "found nothing", quick=True)(_touched())
case("two videos in a folder", "error", "found a.mp4, b.mp4")(_touched("a.mp4", "b.mp4"))
case("a video beside a sequence", "error", "holds both")(_touched("a.mp4", "talk/cam_0.mp4"))
case("a sequence without clips", "error", "no <sequence>/cam_<id>.mp4")(_touched("talk/x.txt"))
case("a clip that is no cam_<id>", "error", "expected the name cam_<id>")(_touched("talk/l.mp4"))
case("a camera twice", "error", "are both camera '0'")(_touched("talk/cam_0.mp4", "talk/cam_0.mov"))
case("sequence name 'x;y z'", "error", "is not allowed")(_touched("x;y z/cam_0.mp4"))
case("camera name 'a;touch X'", "error", "is not allowed", quick=True)(
    _touched("talk/cam_a;touch X.mp4")
)
case("two cameras without calibration", "error", "no cameras.json")(
    _touched("talk/cam_0.mp4", "talk/cam_1.mp4")
)
case("calibration in millimetres", "error", "units are 'mm'")(
    lambda folder: _calibration(folder, units="mm")
)
case("calibration of another version", "error", 'expected {"version": 1')(
    lambda folder: _calibration(folder, version=7)
)
case("calibration without cameras", "error", "names no camera")(
    lambda folder: _calibration(folder, cameras={})
)
case("calibration without K", "error", "lacks K")(lambda folder: _entry(folder, K=None))
case("calibration with a K of 2 x 2", "error", "K has shape (2, 2)")(
    lambda folder: _entry(folder, K=[[1, 0], [0, 1]])
)
case("calibration that holds NaN", "error", "holds NaN", quick=True)(
    lambda folder: _entry(folder, K=[[float("nan"), 0, 1], [0, 1, 1], [0, 0, 1]])
)
case("calibration with a scaled rotation", "error", "is no rotation")(
    lambda folder: _entry(folder, viewmat=np.diag([1000.0, 1000, 1000, 1]).tolist())
)
case("calibration with skew", "error", "K has a skew of 9 pixels")(
    lambda folder: _entry(folder, K=[[60, 9, 32], [0, 60, 24], [0, 0, 1]])
)
case("calibration of a fisheye lens", "error", "camera_model 'OPENCV_FISHEYE' is not supported")(
    lambda folder: _entry(folder, camera_model="OPENCV_FISHEYE")
)
case("calibration whose distortion leaves no picture", "error", "leaves 0% of the frame")(
    lambda folder: _entry(folder, distortion=[1e6, 0, 0, 0, 0])
)
case("calibration for frames of another size", "error", "expected 128 x 48", quick=True)(
    _rig(width=128)
)
case("a camera 10 s late: no frame in common", "error", "has no frame at the times")(
    _rig(time_offset=10)
)


def _calibration(folder: Path, **changes: Any) -> Path:
    capture = two_cameras(folder)
    value = json.loads((capture / "cameras.json").read_text()) | changes
    (capture / "cameras.json").write_text(json.dumps(value))
    return capture


def _entry(folder: Path, **changes: Any) -> Path:
    capture = two_cameras(folder)
    value = json.loads((capture / "cameras.json").read_text())
    entry = value["cameras"]["1"] | changes
    value["cameras"]["1"] = {key: item for key, item in entry.items() if item is not None}
    (capture / "cameras.json").write_text(json.dumps(value))
    return capture


@case("calibration that is no JSON", "error", "not readable as JSON")
def no_json(folder: Path) -> Path:
    (two_cameras(folder) / "cameras.json").write_text('{"version": 1')
    return folder / "c"


@case("calibration that is a named pipe", "error", "is not a plain file", quick=True)
def pipe_calibration(folder: Path) -> Path:
    capture = two_cameras(folder)
    (capture / "cameras.json").unlink()
    os.mkfifo(capture / "cameras.json")
    return capture


@case("a camera missing in the calibration", "error", "lacks camera '1'", quick=True)
def missing_in_calibration(folder: Path) -> Path:
    write_cameras(two_cameras(folder), {"0": camera()})
    return folder / "c"


@case("a camera listed without a video", "warn", "lists 2 without a clip", quick=True)
def listed_without_video(folder: Path) -> Path:
    write_cameras(two_cameras(folder), {"0": camera(), "1": camera(), "2": camera()})
    return folder / "c"


@case("a camera missing in one sequence", "warn", "sequence calm has no clip of camera 1")
def missing_clip(folder: Path) -> Path:
    encode(two_cameras(folder) / "calm/cam_0.mp4")
    return folder / "c"


@case("cameras of different length", "warn", "camera 1 ends 0.20 s before camera 0", quick=True)
def different_length(folder: Path) -> Path:
    encode(two_cameras(folder, 12) / "talk/cam_1.mp4", pictures(6))
    return folder / "c"


@case("cameras of different frame rate", "warn", "frames are missing")
def different_rate(folder: Path) -> Path:
    encode(two_cameras(folder, 12) / "talk/cam_1.mp4", stamps=[0, 2, 4, 6, 8, 10, 12, 14])
    return folder / "c"


@case("one clip of several is empty", "error", "cam_1.mp4 is empty (0 bytes)")
def one_empty(folder: Path) -> Path:
    (two_cameras(folder) / "talk/cam_1.mp4").write_bytes(b"")
    return folder / "c"


def _plate(name: str, content: bytes) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        plates = two_cameras(folder) / "plates"
        plates.mkdir()
        (plates / name).write_bytes(content)
        return folder / "c"

    return build


def _png(width: int = 64, height: int = 48) -> bytes:
    return cv2.imencode(".png", pictures(1, width, height)[0])[1].tobytes()


case("a clean plate that fits", "pass")(_plate("cam_0.png", _png()))
case("a plate of the wrong size", "error", "expected 64 x 48", quick=True)(
    _plate("cam_0.png", _png(32, 32))
)
case("a plate of no camera", "error", "no clip of camera '7'")(_plate("cam_7.png", _png()))
case("a plate that is text", "error", "is not an image", quick=True)(_plate("cam_0.png", b"text"))
case("a plate cut at half", "error", "is not an image")(_plate("cam_0.png", _png()[:1500]))


@case("a plate that is a named pipe", "error", "is not a plain file")
def pipe_plate(folder: Path) -> Path:
    plates = two_cameras(folder) / "plates"
    plates.mkdir()
    os.mkfifo(plates / "cam_0.png")
    return folder / "c"


def _images(folder: Path, numbers: list[int], suffix: str = ".png") -> Path:
    home = folder / "c/talk/cam_0"
    home.mkdir(parents=True)
    for number, image in zip(numbers, pictures(len(numbers)), strict=True):
        cv2.imwrite(str(home / f"{number:06d}{suffix}"), image)
    write_cameras(folder / "c", {"0": camera()})
    return folder / "c"


case("numbered images", "pass")(lambda folder: _images(folder, [0, 1, 2, 3]))
case("numbered JPEG images", "pass")(lambda folder: _images(folder, [0, 1, 2, 3], ".jpg"))
case("numbered images with a gap", "warn", "a gap of 17 frames")(
    lambda folder: _images(folder, [0, 1, 2, 19, 20, 21])
)


@case("numbered images, one of them empty", "error", "000002.png is not an image", quick=True)
def empty_image(folder: Path) -> Path:
    capture = _images(folder, [0, 1, 2, 3])
    (capture / "talk/cam_0/000002.png").write_bytes(b"")
    return capture


@case("numbered images of two sizes", "error", "a frame is 32 x 32")
def images_of_two_sizes(folder: Path) -> Path:
    capture = _images(folder, [0, 1, 2, 3])
    (capture / "talk/cam_0/000002.png").write_bytes(_png(32, 32))
    return capture


@case("two images of one number", "error", "have the same number")
def same_number(folder: Path) -> Path:
    capture = _images(folder, [0, 1, 2, 3])
    (capture / "talk/cam_0/2.png").write_bytes(_png())
    return capture


@case("numbered images with alpha", "pass")
def images_with_alpha(folder: Path) -> Path:
    capture = _images(folder, [0, 1, 2, 3])
    for path in sorted((capture / "talk/cam_0").iterdir()):
        picture = cv2.imread(str(path))
        alpha = np.zeros(picture.shape[:2], np.uint8)
        alpha[8:40, 16:48] = 255
        cv2.imwrite(str(path), np.dstack([picture, alpha]))
    return capture


@case("numbered images of 16 bits", "pass")
def images_of_16_bits(folder: Path) -> Path:
    capture = _images(folder, [0, 1, 2, 3])
    for path in sorted((capture / "talk/cam_0").iterdir()):
        cv2.imwrite(str(path), cv2.imread(str(path), 0).astype(np.uint16) * 257)
    return capture


@case("images without numbers", "error", "holds no numbered images")
def no_numbers(folder: Path) -> Path:
    capture = _images(folder, [0])
    (capture / "talk/cam_0/000000.png").rename(capture / "talk/cam_0/face.png")
    return capture


case("settings that skip the whole clip", "error", "leaves no frame", settings={"start": 9})(
    two_cameras
)
