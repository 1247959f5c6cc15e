from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from avatar.base.errors import UserError
from avatar.data.reader import AlphaStore, FrameStore
from pipeline.capture.read import read_capture
from pipeline.common.gate import Quality
from pipeline.ingest.run import ingest
from pipeline.ingest.settings import IngestSettings
from pipeline.matte.given import given_alphas
from pipeline.matte.run import matte
from pipeline.matte.settings import MatteSettings
from tests.media_files import camera, write_cameras

MAGENTA = (255, 0, 255)


def cutout(shift: int = 0, width: int = 64, height: int = 48) -> np.ndarray:
    """A green disc with a soft edge; magenta hides below the transparent pixels."""
    y, x = np.mgrid[:height, :width] + 0.5
    alpha = np.clip(16.5 - np.hypot(x - width / 2 - shift, y - height / 2), 0, 1)
    pixels = np.zeros((height, width, 4), np.uint8)
    pixels[..., :3] = np.where(alpha[..., None] > 0, np.array([30, 180, 60]), np.array(MAGENTA))
    pixels[..., 3] = np.round(255 * alpha)
    return pixels


def capture_of(folder: Path, pictures: list[np.ndarray], place: str = "talk/cam_0") -> Path:
    (folder / place).mkdir(parents=True)
    for number, pixels in enumerate(pictures):
        Image.fromarray(pixels).save(folder / place / f"{number:06d}.png")
    write_cameras(folder, {"0": camera()})
    return folder


def run(capture: Path, out: Path, **settings: object) -> list[tuple[np.ndarray, np.ndarray]]:
    """Stored image and alpha of every frame."""
    ingest(capture, out / "ingest")
    matte(out / "ingest", out / "matte", capture, MatteSettings(**settings))  # type: ignore[arg-type]
    with FrameStore(out / "ingest/frames.h5") as images, AlphaStore(out / "matte/alpha.h5") as mats:
        alphas = [mats.alpha(row) for row in range(len(mats))]
        return [(images.image(row), alpha) for row, alpha in enumerate(alphas)]


@pytest.mark.fault("H5")
def test_the_alpha_of_cutouts_is_the_matte(tmp_path: Path) -> None:
    pictures = [cutout(shift) for shift in (0, 3, 6)]
    found = run(capture_of(tmp_path / "c", pictures), tmp_path)
    metrics = Quality.load(tmp_path / "matte/quality.json").metrics
    assert metrics["backends"] == {"0": "alpha of the images"}
    assert metrics["frames_with_given_alpha"] == 3
    for (image, alpha), pixels in zip(found, pictures, strict=True):
        np.testing.assert_array_equal(alpha, pixels[..., 3])
        # The hidden colour is nowhere: neither red nor blue rises above the person's.
        assert image[..., 0].max() < 60
        assert image[..., 2].max() < 90
        inside = alpha == 255
        assert np.abs(image[inside].astype(int) - [30, 180, 60]).mean() < 3  # JPEG


@pytest.mark.fault("H5")
def test_an_exported_dataset_gives_its_cutouts(tmp_path: Path) -> None:
    pictures = [cutout(shift) for shift in (0, 3)]
    capture = capture_of(tmp_path / "c", pictures, "talk/cam_0/cutout")
    capture_of(tmp_path / "d", [p[..., :3] for p in pictures], "talk/cam_0/image")
    (tmp_path / "d/talk/cam_0/image").rename(capture / "talk/cam_0/image")
    for (_, alpha), pixels in zip(run(capture, tmp_path), pictures, strict=True):
        np.testing.assert_array_equal(alpha, pixels[..., 3])


@pytest.mark.fault("H5")
def test_the_given_alpha_is_shrunk_and_undistorted_with_its_image(tmp_path: Path) -> None:
    """Alpha equals the red channel of an image that shows it."""
    pixels = cutout()
    pixels[..., :3] = 255
    capture = capture_of(tmp_path / "c", [pixels, pixels])
    write_cameras(capture, {"0": camera(distortion=[-0.2, 0.05, 0, 0, 0])})
    ingest(capture, tmp_path / "ingest", IngestSettings(size=32))
    given = given_alphas(read_capture(capture), tmp_path / "ingest")
    assert sorted(given) == [0, 1]
    with FrameStore(tmp_path / "ingest/frames.h5") as store:
        assert store.sizes.tolist() == [[32, 24]]
        difference = given[1].read().astype(int) - store.image(1)[..., 0]
    assert np.abs(difference).mean() < 2  # JPEG


@pytest.mark.fault("H5")
def test_opaque_alpha_is_no_matte(tmp_path: Path) -> None:
    pixels = cutout()
    pixels[..., 3] = 255
    capture = capture_of(tmp_path / "c", [pixels, pixels])
    ingest(capture, tmp_path / "ingest")
    assert given_alphas(read_capture(capture), tmp_path / "ingest") == {}


def test_an_image_without_alpha_among_cutouts_is_refused(tmp_path: Path) -> None:
    capture = capture_of(tmp_path / "c", [cutout(), cutout(), cutout()])
    cv2.imwrite(str(capture / "talk/cam_0/000001.png"), cutout()[..., :3])
    with pytest.raises(UserError, match=r"000001\.png has no alpha channel"):
        run(capture, tmp_path)


def test_a_backend_that_is_named_ignores_the_alpha(tmp_path: Path) -> None:
    found = run(capture_of(tmp_path / "c", [cutout(), cutout()]), tmp_path, backend="mediapipe")
    assert any((alpha != cutout()[..., 3]).any() for _, alpha in found)
