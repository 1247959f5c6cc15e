"""Small captures made on the spot, and where the real clips lie where there are any."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline import media

CLIPS = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"


def real_clip(name: str) -> Path:
    """A real clip such as `hard_clips/no_person.mp4`; skips the test where there are none."""
    path = CLIPS / name
    if not path.exists():
        pytest.skip(f"no real clips here: {name} is not beside the project")
    return path


def grey_frames(levels: list[int], width: int = 64, height: int = 48) -> list[np.ndarray]:
    """Plain grey images, one a level (0..255)."""
    return [np.full((height, width, 3), level, np.uint8) for level in levels]


def camera(width: int = 64, height: int = 48, **changes: object) -> dict:
    """An entry of cameras.json."""
    K = [[60.0, 0, width / 2], [0, 60.0, height / 2], [0, 0, 1]]
    return {"width": width, "height": height, "K": K, "viewmat": np.eye(4).tolist()} | changes


def write_cameras(folder: Path, cameras: dict[str, dict]) -> None:
    """Write cameras.json into a capture folder."""
    folder.mkdir(parents=True, exist_ok=True)
    value = {"version": 1, "units": "m", "cameras": cameras}
    (folder / "cameras.json").write_text(json.dumps(value))


def write_clip(path: Path, levels: list[int], fps: float = 25, **size: int) -> None:
    """Write a video of plain grey frames."""
    media.write_video(path, grey_frames(levels, **size), fps, crf=1)


def gradient(height: int = 48, width: int = 64) -> np.ndarray:
    """Red grows to the right, green downwards: every pixel tells where it came from."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 / width, y * 255 / height, np.full_like(x, 90)], 2).astype(np.uint8)


def touch(root: Path, *names: str) -> Path:
    """Empty files in a folder."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return root


def levels_of(path: Path) -> list[int]:
    """Mean grey level of every frame of a video."""
    return [round(float(image.mean())) for _, image in media.read_video(path)]
