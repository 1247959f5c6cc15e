"""Real clips, where they are."""

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from tests.hard_cases.case import NO_FACE, case
from tests.hard_cases.clips import encode
from tests.media_files import CLIPS


def real(name: str) -> Callable[[Path], Path]:
    """A copy of a real clip."""

    def build(folder: Path) -> Path:
        return Path(shutil.copy(CLIPS / "hard_clips" / name, folder / name))

    return build


for _name, _outcome, _message in (
    ("audio_only.mp3", "error", "holds no video stream (only audio)"),
    ("broken_audio_track.mp4", "pass", ""),
    ("clean_reference.mp4", "pass", ""),
    ("hevc_10bit_no_face.mp4", "warn", NO_FACE),
    ("lying_face_no_rotation_tag.mp4", "warn", "the head lies at -87 degrees"),
    ("mkv_no_frame_count.mkv", "pass", ""),
    ("no_person.mp4", "warn", NO_FACE),
    ("rotate90_and_mirror_tag.mp4", "warn", "the head lies at -87 degrees"),
    ("second_empty_video_stream.mp4", "pass", ""),
    ("two_faces_320x192_12fps.yuv", "error", "is not a video that can be read"),
    ("video_only.mp4", "pass", ""),
    ("wrong_box_size.mp4", "pass", ""),
):
    case(_name, _outcome, _message)(real(_name))


@case("two faces (the .yuv above as .mp4)", "warn", "2 faces at once")
def two_faces(folder: Path) -> Path:
    data = np.fromfile(CLIPS / "hard_clips/two_faces_320x192_12fps.yuv", np.uint8)
    frames = [
        cv2.cvtColor(frame.reshape(288, 320), cv2.COLOR_YUV2RGB_I420)
        for frame in data.reshape(9, 288 * 320)
    ]
    return encode(folder / "two.mp4", frames, crf="10")
