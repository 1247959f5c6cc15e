import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from avatar.base.errors import UserError
from avatar.data.reader import AlphaStore, FrameStore
from pipeline import media
from pipeline.ingest.run import ingest
from pipeline.ingest.settings import IngestSettings
from pipeline.matte import workers as work
from pipeline.matte.__main__ import main
from pipeline.matte.backends import Choice
from pipeline.matte.backends.closed_form import make_trimap
from pipeline.matte.backends.mediapipe import Segmentation
from pipeline.matte.backends.plate import PlateMatting, _differences, edge_alpha, foreign
from pipeline.matte.refine import follow_edges, one_person, shrink, to_uint8
from pipeline.matte.run import grade, matte
from pipeline.matte.settings import MatteSettings
from pipeline.matte.temporal import MEMORY, Steady
from tests.media_files import camera, real_clip, write_cameras, write_clip


def ellipse(height: int, width: int, scale: float = 1.0) -> np.ndarray:
    """Coverage of an ellipse, antialiased by drawing it eight times as large."""
    large = np.zeros((height * 8, width * 8), np.uint8)
    axes = (int(width * 8 * 0.25 * scale), int(height * 8 * 0.35 * scale))
    cv2.ellipse(large, (width * 4, height * 4), axes, 0, 0, 360, 255, -1)
    return cv2.resize(large, (width, height), interpolation=cv2.INTER_AREA) / np.float32(255)


def studio(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A patterned wall, an ellipse before it with a soft shadow beside it: image, plate, alpha."""
    random = np.random.default_rng(seed)
    coarse = random.uniform(70, 200, (9, 9, 3)).astype(np.float32)
    plate = cv2.resize(coarse, (128, 128), interpolation=cv2.INTER_CUBIC)
    alpha = ellipse(128, 128)
    shadow = 1 - 0.35 * cv2.GaussianBlur(np.roll(alpha, 12, 1), (0, 0), 6)
    skin = np.array([215, 160, 130], np.float32) * (1 - 0.2 * np.linspace(0, 1, 128)[:, None, None])
    image = alpha[..., None] * skin + (1 - alpha[..., None]) * plate * shadow[..., None]
    image += random.normal(0, 3, image.shape)
    noisy_plate = plate + random.normal(0, 3, plate.shape)
    return *(np.clip(x, 0, 255).astype(np.uint8) for x in (image, noisy_plate)), alpha


def test_a_mask_moves_to_the_images_edge() -> None:
    image = np.full((40, 40, 3), 30, np.uint8)
    image[:, 20:] = 220
    mask = np.zeros((40, 40), np.float32)
    mask[:, 17:] = 1  # three pixels too far
    mask = cv2.GaussianBlur(mask, (0, 0), 3)
    alpha = follow_edges(image, image, mask, 8, 1e-4)
    steps = np.diff(alpha, axis=1)
    assert (steps.argmax(1) == 19).all()
    assert steps[:, 19].min() > 0.5
    assert np.diff(mask, axis=1).max() < 0.15
    assert (
        np.abs(alpha - (image[..., 0] > 128)).mean()
        < 0.5 * np.abs(mask - (image[..., 0] > 128)).mean()
    )


def test_the_fast_filter_is_the_guided_filter() -> None:
    """At working size, where nothing is resized, OpenCV's filter says the same."""
    random = np.random.default_rng(0)
    image = cv2.blur(random.integers(0, 256, (60, 50, 3), dtype=np.uint8), (5, 5))
    mask = ellipse(60, 50)
    expected = cv2.ximgproc.guidedFilter(image, mask, 4, 1e-3 * 255**2)
    found = follow_edges(image, image, mask, 4, 1e-3)
    # OpenCV's borders differ: within two windows of them there is nothing to compare.
    inner = (slice(8, -8), slice(8, -8))
    np.testing.assert_allclose(
        found[inner], np.clip((expected - 0.2) / 0.6, 0, 1)[inner], atol=2e-3
    )


def test_edges_are_found_at_full_size() -> None:
    """An edge between two pixels of the working size."""
    image = np.full((512, 512, 3), 30, np.uint8)
    image[:, 257:] = 220
    small = shrink(image)
    assert small.shape == (256, 256, 3)
    mask = np.zeros((256, 256), np.float32)
    mask[:, 126:] = 1
    alpha = follow_edges(image, small, cv2.GaussianBlur(mask, (0, 0), 2), 4, 1e-4)
    assert (np.diff(alpha[:, 200:300], axis=1).argmax(1) == 56).all()


def test_only_the_largest_part_stays_and_small_holes_are_filled() -> None:
    alpha = np.zeros((100, 100), np.float32)
    alpha[20:80, 20:70] = 1
    alpha[40:43, 40:43] = 0  # a speck of a hole
    alpha[50:70, 30:60] = 0  # a window that is truly open
    alpha[40:60, 85:95] = 1  # somebody else
    kept = one_person(alpha)
    assert kept[41, 41] == 1
    assert kept[60, 45] == 0
    assert kept[50, 90] == 0
    assert kept[30, 30] == 1
    assert not one_person(np.zeros((10, 10), np.float32)).any()
    large = np.ones((200, 200), np.float32)
    large[96:104, 96:104] = 0
    assert one_person(large).all()


def test_alpha_is_rounded_to_bytes() -> None:
    assert to_uint8(np.array([[-0.1, 0.002, 0.5, 1.2]], np.float32)).tolist() == [[0, 1, 128, 255]]


def test_a_shadow_is_not_foreign_and_a_colour_is() -> None:
    plate = np.full((60, 60, 3), (120, 90, 60), np.float32)
    image = plate.copy()
    image[10:25, 10:25] *= 0.7  # shadow
    image[35:50, 10:25] = (120, 60, 90)  # as bright, of another colour
    image[35:50, 35:50] *= 0.3  # darker than a soft shadow
    noise = np.random.default_rng(0).normal(0, 2, image.shape)
    blurred = cv2.blur(image + noise.astype(np.float32), (3, 3))
    difference, brightness = _differences(blurred, plate, np.ones(3, np.float32))
    found = foreign(difference, np.zeros((60, 60), np.float32))
    assert abs(brightness[12:23, 12:23].mean() - 0.7) < 0.01
    assert found[12:23, 12:23].mean() < 0.02
    assert found[37:48, 12:23].min() == 1
    assert found[37:48, 37:48].min() == 1


def test_edge_alpha_solves_the_mixture() -> None:
    alpha = ellipse(96, 96)
    foreground = np.array([220, 60, 40], np.float32)
    background = np.full((96, 96, 3), (40, 80, 160), np.float32)
    image = alpha[..., None] * foreground + (1 - alpha[..., None]) * background
    rough = (alpha > 0.5).astype(np.float32)
    rounded = np.rint(image).astype(np.uint8)
    solved = edge_alpha(rounded, rounded, background, rough)
    assert np.abs(solved - alpha).mean() < 0.002
    assert np.abs(rough - alpha).mean() > 0.004  # what it started from


def test_the_plate_finds_the_object_despite_noise_and_shadow() -> None:
    for seed in range(3):
        image, plate, alpha = studio(seed)
        found = PlateMatting(plate)(image)
        assert np.abs(found / 255 - alpha).mean() < 0.012
        shadow = np.roll(alpha, 20, 1) * (alpha == 0)
        assert (found / 255 * shadow).sum() / shadow.sum() < 0.08


def test_every_clip_starts_afresh() -> None:
    clip = real_clip("hard_clips/clean_reference.mp4")
    images = [cv2.resize(image, (270, 180)) for _, image in media.read_video(clip)][:3]
    one, other = Segmentation(), Segmentation()
    first = [one(image) for image in images]
    for image in images:
        other(image[:, ::-1])
    np.testing.assert_array_equal([other(image) for image in images], first)


def test_a_still_picture_keeps_its_alpha_still() -> None:
    """Noise in alpha shrinks to what the memory leaves of it."""
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    alphas = random.integers(100, 140, (60, 64, 64), dtype=np.uint8)
    steady = Steady()
    kept = np.stack([steady(image, alpha) for alpha in alphas])[30:]
    # Variance of an exponential average: (1 - m) / (1 + m) of the samples'.
    expected = alphas.std() * np.sqrt((1 - MEMORY) / (1 + MEMORY))
    assert abs(kept.std() / expected - 1) < 0.1


@pytest.mark.parametrize("speed", [0.25, 1, 6])
def test_nothing_trails_behind_what_moves(speed: float) -> None:
    """A bright square over a noisy dark wall: slow, walking and fast."""
    random = np.random.default_rng(0)
    steady = Steady()
    for t in range(12):
        x = 20 + speed * t
        large = np.zeros((96, 96 * 8), np.uint8)
        large[30:60, round(8 * x) : round(8 * (x + 24))] = 255
        alpha = cv2.resize(large, (96, 96), interpolation=cv2.INTER_AREA)
        image = 40 + alpha[..., None] / 255 * np.array([150, 120, 100])
        image = image + random.normal(0, 1.5, image.shape)
        kept = steady(np.rint(image).astype(np.uint8), alpha)
    difference = np.abs(kept.astype(int) - alpha)
    assert difference.max() <= 25
    assert difference.mean() < 0.05


def test_what_is_uncovered_by_something_of_its_own_colour_is_let_go() -> None:
    image = np.full((64, 64, 3), 30, np.uint8)
    steady = Steady()
    steady(image, np.full((64, 64), 255, np.uint8))
    assert not steady(image, np.zeros((64, 64), np.uint8)).any()


def test_a_trimap_is_certain_away_from_the_edge() -> None:
    trimap = make_trimap(ellipse(100, 100))
    assert set(np.unique(trimap)) == {0, 0.5, 1}
    assert trimap[50, 50] == 1
    assert trimap[5, 5] == 0
    assert (trimap[50, 21:30] == 0.5).any()
    assert (trimap == 0.5).mean() < 0.15


def test_a_clip_is_cut_in_pieces_that_overlap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clip(tmp_path / "a.mp4", [90] * 205, width=32, height=32)
    ingest(tmp_path / "a.mp4", tmp_path / "ingest")
    path = tmp_path / "ingest/frames.h5"
    monkeypatch.setattr(work, "PIECE", 100)
    pieces = work.cut(path, {"0": Choice("mediapipe")})
    assert [row for piece in pieces for row in piece.rows] == list(range(205))
    assert [len(piece.rows) for piece in pieces] == [51, 51, 51, 52]
    leads = [list(range(end - 8, end)) for end in (51, 102, 153)]
    assert [piece.lead_in for piece in pieces] == [[], *leads]
    (whole,) = work.cut(path, {"0": Choice("torchscript", model=tmp_path / "m.pt")})
    assert whole.rows == list(range(205))


def test_the_number_of_workers_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = real_clip("hard_clips/clean_reference.mp4")
    ingest(clip, tmp_path / "ingest", IngestSettings(max_frames=12, size_mono=128))
    monkeypatch.setattr(work, "PIECE", 4)
    blobs = []
    for workers in (1, 2):
        matte(tmp_path / "ingest", tmp_path / "matte", settings=MatteSettings(workers=workers))
        with AlphaStore(tmp_path / "matte/alpha.h5") as store:
            blobs.append([store.blob("alpha", row).tobytes() for row in range(len(store))])
    assert len(blobs[0]) == 12
    assert blobs[0] == blobs[1]


def test_a_real_person_is_cut_out(tmp_path: Path) -> None:
    clip = real_clip("hard_clips/clean_reference.mp4")
    ingest(clip, tmp_path / "s/ingest", IngestSettings(max_frames=4, size_mono=256))
    assert main(["--subject", "s", "--results", str(tmp_path)]) == 0
    with AlphaStore(tmp_path / "s/matte/alpha.h5") as store:
        alphas = np.stack([store.alpha(row) for row in range(4)]) / 255
    height, width = alphas.shape[1:]
    middle = alphas[:, height // 3 : height * 2 // 3, width * 2 // 5 : width * 3 // 5]
    assert middle.min() > 0.95
    assert alphas[:, : height // 12, : width // 12].max() < 0.05
    quality = json.loads((tmp_path / "s/matte/quality.json").read_text())
    assert quality["status"] == "pass"
    assert quality["metrics"]["backends"] == {"0": "mediapipe"}


def test_no_person_fails_the_quality_and_not_the_stage(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.mp4", [90] * 4, width=96, height=64)
    ingest(tmp_path / "a.mp4", tmp_path / "s/ingest")
    quality = matte(tmp_path / "s/ingest", tmp_path / "s/matte")
    assert quality.status == "fail"
    assert "no person" in quality.messages[0]


def test_a_real_scene_without_a_person_is_empty(tmp_path: Path) -> None:
    clip = real_clip("hard_clips/no_person.mp4")
    ingested = ingest(clip, tmp_path / "ingest", IngestSettings(max_frames=5, size_mono=256))
    assert ingested.metrics["share_of_samples_with_a_face"] == 0
    quality = matte(tmp_path / "ingest", tmp_path / "matte")
    assert quality.status == "fail"
    assert quality.metrics["mean_coverage"] < 0.01


@pytest.fixture
def studio_capture(tmp_path: Path) -> Path:
    """Two cameras, one with a plate."""
    capture = tmp_path / "capture"
    image, plate, _ = studio()
    for name in "01":
        media.write_video(capture / f"talk/cam_{name}.mp4", [image] * 2, 25, crf=5)
    (capture / "plates").mkdir()
    cv2.imwrite(str(capture / "plates/cam_1.png"), plate[..., ::-1])
    write_cameras(capture, {name: camera(128, 128) for name in "01"})
    ingest(capture, tmp_path / "s/ingest")
    return capture


def test_auto_takes_the_plates_there_are(tmp_path: Path, studio_capture: Path) -> None:
    quality = matte(tmp_path / "s/ingest", tmp_path / "s/matte", studio_capture)
    assert quality.metrics["backends"] == {"0": "mediapipe", "1": "plate"}
    with AlphaStore(tmp_path / "s/matte/alpha.h5") as store:
        found = store.alpha(store.row(0, 1)) / 255
    assert np.abs(found - studio()[2]).mean() < 0.012
    with pytest.raises(UserError, match=r"camera '0' has no plates/cam_0\.png"):
        matte(
            tmp_path / "s/ingest",
            tmp_path / "s/matte",
            studio_capture,
            MatteSettings(backend="plate"),
        )


def test_a_plate_of_another_size_is_refused(tmp_path: Path, studio_capture: Path) -> None:
    cv2.imwrite(str(studio_capture / "plates/cam_1.png"), np.zeros((10, 10, 3), np.uint8))
    with pytest.raises(UserError, match=r"cam_1\.png: a frame is 10 x 10, expected 128 x 128"):
        matte(tmp_path / "s/ingest", tmp_path / "s/matte", studio_capture)


def test_missing_frames_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--subject", "s", "--results", str(tmp_path)]) == 2
    assert "frames.h5 does not exist" in capsys.readouterr().err


def test_flicker_is_measured_within_clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two clips of constant alpha, one empty, one half: no flicker, half the frames empty."""
    capture = tmp_path / "capture"
    for name in "ab":
        write_clip(capture / f"talk/cam_{name}.mp4", [90] * 3, width=32, height=32)
    write_cameras(capture, {name: camera(32, 32) for name in "ab"})
    ingest(capture, tmp_path / "ingest")

    def fixed(choice: Choice) -> object:
        half = np.zeros((32, 32), np.uint8)
        half[: 16 if choice.plate is None else 0] = 255
        return lambda image, share=None: half

    monkeypatch.setattr(work, "start", fixed)
    path = tmp_path / "ingest/frames.h5"
    plate = np.zeros((32, 32, 3), np.uint8)
    pieces = work.cut(path, {"a": Choice("mediapipe"), "b": Choice("plate", plate)})
    done = list(work.matted(pieces, 1))
    coverage = np.concatenate([piece.coverage for piece in done])
    change = np.concatenate([piece.change for piece in done])
    np.testing.assert_allclose(coverage, [0.5] * 3 + [0] * 3, atol=1e-6)
    assert len(change) == 4
    quality = grade(coverage, change)
    assert quality.metrics["flicker"] == 0
    assert quality.metrics["mean_coverage"] == 0.25
    assert quality.metrics["share_of_empty_frames"] == 0.5
    assert quality.status == "warn"
    with FrameStore(path) as store:
        assert len(store) == 6
