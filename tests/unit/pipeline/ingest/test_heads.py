import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from avatar.data.reader import FrameStore
from pipeline import media
from pipeline.detect.landmarks import LEFT_EYE, NUM_LANDMARKS, RIGHT_EYE, Detections
from pipeline.ingest.heads import Heads, around, find_heads
from pipeline.ingest.run import ingest
from pipeline.ingest.settings import IngestSettings
from tests.media_files import real_clip, write_clip

WIDE = np.array([300, 0])


def test_a_window_around_faces_by_hand() -> None:
    low, high = np.array([[400.0, 300.0]]), np.array([[500.0, 400.0]])
    x, y, width, height = around(low, high, (1000, 1000))
    assert width == height == 230  # a face of 100 and 65 to either side
    assert x == 450 - 115
    assert y <= 300 - 60
    assert y + height >= 400 + 60
    assert around(low, high, (520, 1000))[0] == 520 - 230  # pushed back into the frame
    assert around(low, high, (1000, 420))[1:] == (190, 230, 230)
    assert around(low - WIDE, high + WIDE, (1000, 420))[2:] == (830, 420)


def test_a_real_clip_gets_one_window_around_its_head(tmp_path: Path) -> None:
    clip = real_clip("hard_clips/clean_reference.mp4")
    settings = IngestSettings(max_frames=4, size_mono=256)
    quality = ingest(clip, tmp_path, settings)
    assert quality.metrics["share_of_samples_with_a_face"] == 1
    entry = json.loads((tmp_path / "index.json").read_text())["cameras"]["0"]
    x, y, width, height = entry["window"]
    with FrameStore(tmp_path / "frames.h5") as store:
        assert store.sizes.tolist() == [entry["size"]]
        assert max(entry["size"]) == 256
        stored = store.image(0)
    source = next(iter(media.read_video(clip)))[1][y : y + height, x : x + width]
    shrunk = cv2.resize(source, entry["size"], interpolation=cv2.INTER_AREA)
    assert np.abs(stored.astype(int) - shrunk).mean() < 1.5
    centre = [(540 - x) * entry["scale"][0], (360 - y) * entry["scale"][1]]
    assert entry["center"] == pytest.approx(centre)


def test_without_a_face_the_whole_frame_is_kept_with_a_warning(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.mp4", [90] * 6, width=96, height=64)
    quality = ingest(tmp_path / "a.mp4", tmp_path / "out", IngestSettings(size_mono=48))
    assert quality.status == "warn"
    assert "no face" in quality.messages[0]
    with FrameStore(tmp_path / "out/frames.h5") as store:
        assert store.sizes.tolist() == [[48, 32]]


def heads_at(places: list[tuple[float, float] | None], size: tuple[int, int]) -> Heads:
    """Heads of faces 100 pixels high and wide, centred at `places`, in frames of `size`."""
    points = np.full((len(places), NUM_LANDMARKS, 2), np.nan, np.float32)
    for row, place in zip(points, places, strict=True):
        if place is not None:
            row[:] = place
            row[0] += 50
            row[1] -= 50
            row[LEFT_EYE], row[RIGHT_EYE] = np.add(place, [20, 0]), np.add(place, [-20, 0])
    found = np.array([place is not None for place in places])
    frames = [np.zeros((size[1], size[0], 3), np.uint8)] * len(places)
    boxes = [np.zeros((1, 4))] * len(places)
    return find_heads(
        frames, lambda images: (Detections(points[: len(list(images))], found), boxes)
    )


def test_a_still_head_keeps_all_pixels() -> None:
    heads = heads_at([(500, 300)] * 4, (1000, 600))
    assert heads.window == (385, 188, 230, 230)
    assert (heads.spread, heads.share, heads.absent, heads.roll) == (1, 1, (0, 0), 0)
    assert heads.width == 100


@pytest.mark.fault("H16")
def test_a_head_that_walks_gets_a_share_of_the_pixels() -> None:
    """From x = 200 to 800: a window of 830 pixels instead of 230."""
    heads = heads_at([(200 + 200 * k, 300) for k in range(4)], (1000, 600))
    assert heads.window is not None
    assert heads.window[2] == 830
    assert heads.spread == pytest.approx((230 / 830) ** 2)


@pytest.mark.fault("M8")
@pytest.mark.parametrize(
    ("seen", "absent"),
    [
        ("1111111", (0, 0)),
        ("1111000", (4 / 7, 1)),
        ("0011111", (0, 2 / 7)),
        ("1011100", (5 / 7, 1)),
        ("1000100", (1 / 7, 4 / 7)),
    ],
)
def test_the_longest_stretch_without_a_face(seen: str, absent: tuple[float, float]) -> None:
    heads = heads_at([(500, 300) if mark == "1" else None for mark in seen], (1000, 600))
    assert heads.absent == absent


def test_no_face_at_all() -> None:
    heads = heads_at([None, None], (100, 60))
    assert (heads.window, heads.share, heads.absent, heads.samples) == (None, 0, (0, 1), 2)
