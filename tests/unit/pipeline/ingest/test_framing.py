import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from avatar.data.cameras import Cameras
from avatar.data.reader import FrameStore
from pipeline import media
from pipeline.ingest.framing import Framing, calibrated, windowed
from pipeline.ingest.run import ingest
from pipeline.ingest.settings import IngestSettings
from tests.media_files import camera, write_cameras


def dots(places: np.ndarray, width: int, height: int, radius: float) -> np.ndarray:
    """White discs at subpixel places (the first pixel covers 0..1) on black."""
    y, x = np.mgrid[:height, :width] + 0.5
    image = np.zeros((height, width))
    for place in places:
        image = np.maximum(image, radius + 0.5 - np.hypot(x - place[0], y - place[1]))
    return np.repeat((np.clip(image, 0, 1) * 255).astype(np.uint8)[..., None], 3, 2)


def centroids(image: np.ndarray, guesses: np.ndarray, radius: float = 8) -> np.ndarray:
    """Centre of mass near each guess."""
    grey = image.mean(2) - 8
    y, x = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    weights = [np.clip(grey, 0, None) * (np.hypot(x - g[0], y - g[1]) < radius) for g in guesses]
    return np.array([[(w * x).sum() / w.sum(), (w * y).sum() / w.sum()] for w in weights])


def test_stored_frames_are_pinhole_images_of_the_stored_camera(tmp_path: Path) -> None:
    """Points seen through a distorting lens land where the stored K puts them."""
    width, height = 323, 241
    K = np.array([[300.0, 0, 150.3], [0, 310.0, 117.9], [0, 0, 1]])
    distortion = [-0.25, 0.08, 0.001, -0.002, 0.01]
    rays = np.array([[x, y, 1.0] for x in (-0.35, 0.02, 0.33) for y in (-0.25, 0.05, 0.24)])
    centred = K - [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]]
    seen, _ = cv2.projectPoints(rays, np.zeros(3), np.zeros(3), centred, np.array(distortion))
    image = dots(seen[:, 0] + 0.5, width, height, 4)
    media.write_video(tmp_path / "capture/talk/cam_0.mp4", [image[:, :-1][:-1]] * 2, 25, crf=1)
    entry = camera(width - 1, height - 1, K=K.tolist(), distortion=distortion)
    write_cameras(tmp_path / "capture", {"0": entry})
    ingest(tmp_path / "capture", tmp_path / "out", IngestSettings(size=120))
    cameras = Cameras.load(tmp_path / "out/cameras.json")
    assert cameras.sizes.tolist() == [[107, 80]]  # shrunk by 3
    assert not cameras.distortion.any()
    expected = (rays @ cameras.Ks[0].T)[:, :2]
    with FrameStore(tmp_path / "out/frames.h5") as store:
        found = centroids(store.image(0), expected)
    assert np.abs(found - expected).max() < 0.12


@pytest.mark.parametrize(("size", "scale"), [(120, 120 / 322), (250, 250 / 322), (400, 400 / 322)])
def test_a_window_keeps_places_to_a_fraction_of_a_pixel(
    tmp_path: Path, size: int, scale: float
) -> None:
    """Shrunk or enlarged by no whole number: a dot lands where index.json says."""
    places = np.array([[x, y] for x in (60.0, 161.3, 260.7) for y in (50.0, 120.2, 190.9)])
    media.write_video(tmp_path / "a.mp4", [dots(places, 322, 240, 8)] * 2, 25, crf=1)
    ingest(tmp_path / "a.mp4", tmp_path / "out", IngestSettings(size_mono=size))
    entry = json.loads((tmp_path / "out/index.json").read_text())["cameras"]["0"]
    assert entry["scale"] == pytest.approx([scale, scale], rel=0.01)
    with FrameStore(tmp_path / "out/frames.h5") as store:
        found = centroids(store.image(0), places * entry["scale"], 12 * scale)
    assert np.abs(found - places * entry["scale"]).max() < 0.1


def cameras_of(width: int, height: int) -> Cameras:
    entry = camera(width, height)
    return Cameras.from_json({"version": 1, "units": "m", "cameras": {"0": entry}}, "cameras.json")


@pytest.mark.fault("M10")
@pytest.mark.parametrize(
    ("source", "size", "stored"),
    [
        ((803, 1200), 1200, (803, 1200)),
        ((803, 600), 802, (802, 599)),  # not 401 x 300
        ((1100, 1604), 802, (550, 802)),
        ((2200, 3208), 802, (550, 802)),
        ((322, 240), 120, (107, 80)),  # by 3: keeps 80 % of the pixels that fit
        ((1920, 1080), 802, (802, 451)),  # by 3 would keep 64 %
        ((640, 480), 802, (640, 480)),
        ((1603, 100), 802, (801, 50)),
    ],
)
def test_a_calibrated_camera_keeps_most_of_the_pixels_that_fit(
    source: tuple[int, int], size: int, stored: tuple[int, int]
) -> None:
    framing = calibrated(cameras_of(*source), 0, size)
    assert framing.size == stored
    corner = framing.matrix @ [framing.window[2], framing.window[3], 1]
    np.testing.assert_allclose(corner, [*stored, 1])


@pytest.mark.fault("M10")
def test_places_are_kept_where_the_scale_is_no_whole_number(tmp_path: Path) -> None:
    places = np.array([[x, y] for x in (60.0, 161.3, 260.7) for y in (50.0, 120.2, 190.9)])
    folder = tmp_path / "capture"
    media.write_video(folder / "talk/cam_0.mp4", [dots(places, 322, 240, 8)] * 2, 25, crf=1)
    write_cameras(folder, {"0": camera(322, 240)})
    ingest(folder, tmp_path / "out", IngestSettings(size=300))
    cameras = Cameras.load(tmp_path / "out/cameras.json")
    assert cameras.sizes.tolist() == [[300, 224]]
    scale = np.array([300 / 322, 224 / 240])
    np.testing.assert_allclose(np.diag(cameras.Ks[0])[:2], 60 * scale)
    with FrameStore(tmp_path / "out/frames.h5") as store:
        found = centroids(store.image(0), places * scale, 12)
    assert np.abs(found - places * scale).max() < 0.1


def test_a_framing_survives_its_file() -> None:
    framing = windowed((640, 480), (10, 20, 300, 200), 150)
    again = Framing.from_json(json.loads(json.dumps(framing.to_json())), None, 0)
    assert again == framing
    np.testing.assert_allclose(framing.matrix @ [10, 20, 1], [0, 0, 1])
    np.testing.assert_allclose(framing.matrix @ [310, 220, 1], [150, 100, 1])
