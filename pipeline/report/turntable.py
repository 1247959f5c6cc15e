"""The turntable: the avatar at rest, seen by a camera that swings from side to side, as a video."""

import math
import tempfile
from pathlib import Path

import numpy as np
import torch

from avatar.animate import motion, views
from avatar.animate.loaded import WHITE, HeadAvatar, to_bytes
from pipeline.media import write_video

SIZE = (384, 384)  # width and height, pixels
RATE = 15.0  # frames per second
CRF = 24  # of x264: about 100 kB a second


def turntable(avatar: HeadAvatar, folder: Path) -> bytes:
    """One swing to both sides, which can be repeated without a jump; MP4 (H.264).

    Args:
        folder: for a temporary file.
    """
    count = math.floor(views.PERIOD * RATE)
    time = np.arange(count) / RATE
    still = motion.named_poses(avatar.rig, {}, count)
    driven = motion.moved(avatar.recorded, still, time)
    cameras = views.orbit(avatar.rig, avatar.recorded, *SIZE, torch.from_numpy(time).float())
    batches = (to_bytes(rgb) for rgb, _ in avatar.frames(driven, cameras, WHITE))
    with tempfile.TemporaryDirectory(prefix=".report.", dir=folder) as temporary:
        path = Path(temporary) / "turntable.mp4"
        write_video(path, (frame for batch in batches for frame in batch), RATE, CRF)
        return path.read_bytes()
