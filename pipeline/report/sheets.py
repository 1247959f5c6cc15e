"""Contact sheets: frames of the capture, their mattes and the track's overlay, evenly chosen."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8

from avatar.data.dataset import Dataset
from avatar.data.layout import SPLITS
from pipeline import media
from pipeline.report.pictures import small

COUNT = 8  # pictures of a sheet, at most
MOST_PIXELS = 320  # of a picture's longer side
BEHIND = (0, 177, 64)  # behind the mattes: unlike skin, hair and most clothes


@dataclass(frozen=True)
class Picture:
    """A picture, made `small`, and what is written below it."""

    caption: str
    image: UInt8[np.ndarray, "H W 3"]


def contact_sheets(home: Path, dataset: Dataset) -> dict[str, list[Picture]]:
    """Pictures by the name of their sheet, see `contents.yaml`; a sheet may be empty.

    Args:
        home: `results/<subject>`.
    Raises:
        UserError: a frame or the overlay video is damaged.
    """
    rows = over_time(dataset)
    return {
        "cameras": [_frame(dataset, row, "camera") for row in over_cameras(dataset)],
        "frames": [_frame(dataset, row, "time") for row in rows],
        "matte": [_cutout(dataset, row) for row in rows],
        "track": overlays(home / "track/overlay.mp4"),
    }


def over_time(dataset: Dataset) -> Int[np.ndarray, "P"]:
    """Rows of the middle camera, spread evenly over its timesteps."""
    rows = np.flatnonzero(dataset.camera == len(dataset.camera_ids) // 2)
    return _spread(rows[np.argsort(dataset.timestep[rows], kind="stable")])


def over_cameras(dataset: Dataset) -> Int[np.ndarray, "P"]:
    """Rows of the middle timestep, spread evenly over the cameras; none of a single camera."""
    if len(dataset.camera_ids) < 2:
        return np.empty(0, int)
    middle = np.sort(dataset.timestep)[len(dataset) // 2]
    rows = np.flatnonzero(dataset.timestep == middle)
    return _spread(rows[np.argsort(dataset.camera[rows], kind="stable")])


def _spread(rows: Int[np.ndarray, "R"]) -> Int[np.ndarray, "P"]:
    """At most `COUNT` of them, the first and the last among these."""
    places = np.linspace(0, len(rows) - 1, min(COUNT, len(rows)))
    return rows[places.round().astype(int)]


def _frame(dataset: Dataset, row: int, by: str) -> Picture:
    camera = f"camera {dataset.camera_ids[dataset.camera[row]]}"
    text = camera if by == "camera" else place(dataset, row)
    image = small(dataset.image(row), MOST_PIXELS)
    return Picture(f"{text}, {SPLITS[dataset.split[row]]}", image)


def place(dataset: Dataset, row: int) -> str:
    """Sequence and index of a frame."""
    timestep = dataset.timestep[row]
    return f"{dataset.sequence[timestep]} {dataset.index[timestep]}"


def _cutout(dataset: Dataset, row: int) -> Picture:
    """A frame over a colour, where its alpha is below 1."""
    share = dataset.alpha(row)[..., None] / np.float32(255)
    image = dataset.image(row) * share + np.array(BEHIND, np.float32) * (1 - share)
    return Picture(place(dataset, row), small(image.round().astype(np.uint8), MOST_PIXELS))


def overlays(path: Path) -> list[Picture]:
    """Frames of the track's overlay video; none where it is gone."""
    if not path.is_file():
        return []
    times = media.frame_times(path)
    wanted = _spread(np.arange(len(times)))
    frames = media.read_video(path, times[wanted].tolist())
    return [Picture(f"{time:.1f} s", small(image, MOST_PIXELS)) for time, image in frames]
