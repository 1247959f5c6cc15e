import cv2
import numpy as np
import pytest

from pipeline import media
from pipeline.capture.images import read_image
from pipeline.matte.backends.plate import PlateMatting, _closed, _differences, edge_alpha, foreign
from tests.media_files import real_clip
from tests.unit.pipeline.matte.scenes import ellipse, studio


def test_a_shadow_is_not_foreign_and_a_colour_is() -> None:
    plate = np.full((60, 60, 3), (120, 90, 60), np.float32)
    image = plate.copy()
    image[10:25, 10:25] *= 0.7  # shadow
    image[35:50, 10:25] = (120, 60, 90)  # as bright, of another colour
    image[35:50, 35:50] *= 0.3  # darker than a soft shadow
    noise = np.random.default_rng(0).normal(0, 2, image.shape)
    blurred = cv2.blur(image + noise.astype(np.float32), (3, 3))
    nowhere = np.zeros((60, 60), np.float32)
    difference, brightness = _differences(blurred, plate, np.ones(3, np.float32), nowhere)
    found = foreign(difference, nowhere)
    assert abs(brightness[12:23, 12:23].mean() - 0.7) < 0.01
    assert found[12:23, 12:23].mean() < 0.02
    assert found[37:48, 12:23].min() == 1
    assert found[37:48, 37:48].min() == 1
    within = nowhere.copy()
    within[5:30, 5:30] = 1
    difference, brightness = _differences(blurred, plate, np.ones(3, np.float32), within)
    assert foreign(difference, nowhere)[12:23, 12:23].min() == 1  # dark hair, no shadow
    assert (brightness[12:23, 12:23] == 1).all()


def test_a_notch_is_closed_within_the_person_only() -> None:
    persons = np.zeros((60, 60), np.float32)
    persons[:30] = persons[32:] = 1
    within = np.zeros((60, 60), np.float32)
    within[:, :40] = 1
    closed = _closed(persons, within)
    assert closed[:, 5:40].all()
    assert np.array_equal(closed[:, 40:], persons[:, 40:])


def test_edge_alpha_solves_the_mixture() -> None:
    alpha = ellipse(96, 96)
    foreground = np.array([220, 60, 40], np.float32)
    background = np.full((96, 96, 3), (40, 80, 160), np.float32)
    image = alpha[..., None] * foreground + (1 - alpha[..., None]) * background
    rough = (alpha > 0.5).astype(np.float32)
    rounded = np.rint(image).astype(np.uint8)
    for within in (np.zeros_like(rough), rough):
        solved = edge_alpha(rounded, rounded, background, rough, within)
        assert np.abs(solved - alpha).mean() < 0.002
    assert np.abs(rough - alpha).mean() > 0.004  # what it started from


def test_a_dark_edge_of_a_bright_person_is_kept_within_the_mask() -> None:
    """Hair before skin: much farther from the skin's colour than the plate is."""
    alpha, inner = ellipse(96, 96), ellipse(96, 96, 0.92)
    background = np.full((96, 96, 3), (120, 110, 100), np.float32)
    skin, hair = np.array([215, 160, 130], np.float32), np.array([50, 90, 120], np.float32)
    person = inner[..., None] * skin + (1 - inner[..., None]) * hair
    image = np.rint(alpha[..., None] * person + (1 - alpha[..., None]) * background)
    rounded, rough = image.astype(np.uint8), (alpha > 0.5).astype(np.float32)
    ring = (alpha == 1) & (inner == 0)
    without, held = (
        edge_alpha(rounded, rounded, background, rough, within)[ring].mean()
        for within in (np.zeros_like(rough), rough)
    )
    assert without < 0.8 < 0.9 < held


def test_the_plate_finds_the_object_despite_noise_and_shadow() -> None:
    for seed in range(3):
        image, plate, alpha = studio(seed)
        found = PlateMatting(plate)(image)
        assert np.abs(found / 255 - alpha).mean() < 0.012
        shadow = np.roll(alpha, 20, 1) * (alpha == 0)
        assert (found / 255 * shadow).sum() / shadow.sum() < 0.08


@pytest.mark.fault("4.8")
def test_a_share_of_nothing_leaves_nothing() -> None:
    """The left half is somebody else's."""
    image, plate, alpha = studio()
    share = np.ones((128, 128), np.float32)
    share[:, :64] = 0
    found = PlateMatting(plate)(image, share)
    assert not found[:, :62].any()
    assert np.abs(found / 255 - alpha)[:, 68:].mean() < 0.02


@pytest.mark.parametrize(("camera", "most"), [("07", 30), ("11", 40), ("13", 75)])
def test_dark_hair_before_a_dark_fence_is_the_persons(camera: str, most: int) -> None:
    """A rendered person with true alphas; without the mask, 71, 137 and 156 pixels are lost."""
    home = real_clip("facekit")
    plate = home / f"capture/plates/cam_{camera}.png"
    matting = PlateMatting(read_image(plate))
    with np.load(home / "truth/a_first_alpha.npz") as archive:
        truth = archive[camera][::8]
    video = media.read_video(home / f"capture/a_first/cam_{camera}.mp4")
    found = np.stack([matting(image) for _, image in list(video)[::8]])
    assert np.abs(found / 255 - truth / 255).mean() < 0.0022
    assert ((truth > 250) & (found < 128)).sum((1, 2)).mean() < most
