from pathlib import Path

import numpy as np

from avatar.animate.loaded import HeadAvatar
from pipeline.media import probe, read_video
from pipeline.report.turntable import RATE, SIZE, turntable
from tests.players import full_avatar, full_rig


def test_the_camera_swings_and_comes_back(tmp_path: Path) -> None:
    rig = full_rig()
    video = turntable(HeadAvatar(rig, full_avatar(rig)), tmp_path)
    assert list(tmp_path.iterdir()) == []
    path = tmp_path / "video.mp4"
    path.write_bytes(video)
    info = probe(path)
    assert (info.width, info.height) == SIZE
    assert len(info.times) == 6 * RATE
    frames = np.stack([frame for _, frame in read_video(path)]).astype(int)
    apart = np.abs(frames - frames[0]).mean((1, 2, 3))
    quarter, half = len(frames) // 4, len(frames) // 2
    assert apart[quarter] > 4 * max(apart[half], apart[-1])
