import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from avatar.base.errors import UserError
from avatar.data.cameras import Cameras
from avatar.data.reader import FrameStore
from pipeline import media
from pipeline.common.gate import Quality
from pipeline.ingest.__main__ import main
from pipeline.ingest.framing import around
from pipeline.ingest.run import ingest
from pipeline.ingest.settings import IngestSettings
from pipeline.ingest.sync import nearest
from tests.media_files import camera, grey_frames, real_clip, write_cameras, write_clip


def levels(store: FrameStore, camera: int) -> list[int]:
    """The grey level of a camera's frame at every timestep, -1 where there is none."""
    rows = [store.row(t, camera) for t in range(len(store.sequence))]
    return [-1 if row < 0 else round(float(store.image(row).mean())) for row in rows]


def test_nearest_pairs_by_hand() -> None:
    times = np.array([0.0, 1.0, 2.0, 3.0])
    others = np.array([-0.4, 0.1, 1.2, 1.4, 2.9])
    assert nearest(times, others, 0.5) == [(0, 1), (1, 2), (3, 4)]
    assert nearest(times, others, 0.65) == [(0, 1), (1, 2), (2, 3), (3, 4)]
    assert nearest(times, np.array([2.2]), 0.5) == [(2, 0)]
    assert nearest(np.array([1.9, 2.1]), np.array([2.0]), 0.5) == [(0, 0)]


def test_cameras_are_aligned_by_their_times(tmp_path: Path) -> None:
    """Camera 1 starts two frames later, runs at the same rate and has one frame more at its end."""
    write_clip(tmp_path / "capture/talk/cam_0.mp4", [40, 60, 80, 100, 120])
    write_clip(tmp_path / "capture/talk/cam_1.mp4", [80, 100, 120, 140])
    cameras = {"0": camera(), "1": camera(time_offset=0.083)}
    write_cameras(tmp_path / "capture", cameras)
    quality = ingest(tmp_path / "capture", tmp_path / "out")
    with FrameStore(tmp_path / "out/frames.h5") as store:
        assert levels(store, 0) == pytest.approx([40, 60, 80, 100, 120], abs=2)
        assert levels(store, 1) == pytest.approx([-1, -1, 80, 100, 120], abs=2)
        np.testing.assert_allclose(store.time, np.arange(5) / 25)
    assert quality.metrics["missing_frames"] == 2
    assert Quality.load(tmp_path / "out/quality.json").status == "warn"


def test_a_slower_camera_gives_its_nearest_frames(tmp_path: Path) -> None:
    write_clip(tmp_path / "capture/talk/cam_0.mp4", [40, 50, 60, 70, 80, 90, 100], fps=30)
    write_clip(tmp_path / "capture/talk/cam_1.mp4", [40, 60, 80, 100], fps=15)
    write_cameras(tmp_path / "capture", {"0": camera(), "1": camera()})
    ingest(tmp_path / "capture", tmp_path / "out")
    with FrameStore(tmp_path / "out/frames.h5") as store:
        assert levels(store, 1) == pytest.approx([40, -1, 60, -1, 80, -1, 100], abs=2)


def test_cameras_in_step_are_aligned_by_number(tmp_path: Path) -> None:
    """The file of camera 1 says 30 frames/s where both ran at 25: its times drift."""
    write_clip(tmp_path / "capture/talk/cam_0.mp4", [40, 60, 80, 100, 120, 140, 160, 180])
    write_clip(tmp_path / "capture/talk/cam_1.mp4", [40, 60, 80, 100, 120, 140, 160], fps=30)
    write_cameras(tmp_path / "capture", {"0": camera(), "1": camera()})
    quality = ingest(tmp_path / "capture", tmp_path / "out", IngestSettings(align="number"))
    with FrameStore(tmp_path / "out/frames.h5") as store:
        expected = [40, 60, 80, 100, 120, 140, 160, -1]
        assert levels(store, 1) == pytest.approx(expected, abs=2)
    assert quality.metrics["missing_frames"] == 1


def test_offsets_between_cameras_are_reported(tmp_path: Path) -> None:
    for name in "01":
        write_clip(tmp_path / f"capture/talk/cam_{name}.mp4", [40, 60, 80, 100])
    write_cameras(tmp_path / "capture", {"0": camera(), "1": camera(time_offset=0.015)})
    quality = ingest(tmp_path / "capture", tmp_path / "out")
    assert quality.metrics["camera_offsets"]["talk"] == pytest.approx({"0": 0, "1": 0.015})
    assert "camera 1 is 15.0 ms off the first one" in quality.messages[0]


def test_damage_is_said_in_quality(tmp_path: Path) -> None:
    data = bytearray(real_clip("hard_clips/mkv_no_frame_count.mkv").read_bytes())
    for place in np.random.default_rng(1).integers(len(data) // 2, len(data), 10):
        data[place] ^= 255
    (tmp_path / "damaged.mkv").write_bytes(data)
    quality = ingest(tmp_path / "damaged.mkv", tmp_path / "out")
    assert any("frames are good" in message for message in quality.messages)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"max_frames": 2}, [0, 1]),
        ({"start": 0.08}, [2, 3, 4, 5, 6, 7]),
        ({"start": 0.08, "duration": 0.12}, [2, 3, 4]),
        ({"fps": 12.5}, [0, 2, 4, 6]),
        ({"fps": 100}, [0, 1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_a_part_is_taken_of_every_sequence(
    tmp_path: Path, settings: dict[str, float], expected: list[int]
) -> None:
    for sequence in ("calm", "talk"):
        write_clip(tmp_path / f"capture/{sequence}/cam_0.mp4", [30 + 20 * k for k in range(8)])
    write_cameras(tmp_path / "capture", {"0": camera()})
    ingest(tmp_path / "capture", tmp_path / "out", IngestSettings(**settings))  # type: ignore[arg-type]
    with FrameStore(tmp_path / "out/frames.h5") as store:
        assert store.sequence.tolist() == ["calm"] * len(expected) + ["talk"] * len(expected)
        assert store.index.tolist() == 2 * list(range(len(expected)))
        np.testing.assert_allclose(store.time, 2 * [k / 25 for k in expected], atol=1e-9)
        assert levels(store, 0) == pytest.approx(2 * [30 + 20 * k for k in expected], abs=2)


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


def test_the_turned_clip_gives_the_frames_of_the_clean_one_turned(tmp_path: Path) -> None:
    settings = IngestSettings(max_frames=2)
    ingest(real_clip("hard_clips/video_only.mp4"), tmp_path / "a", settings)
    ingest(real_clip("hard_clips/rotate90_and_mirror_tag.mp4"), tmp_path / "b", settings)
    source = [
        json.loads((tmp_path / name / "index.json").read_text())["cameras"]["0"]["source_size"]
        for name in "ab"
    ]
    assert source == [[1080, 720], [720, 1080]]


def test_without_a_face_the_whole_frame_is_kept_with_a_warning(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.mp4", [90] * 6, width=96, height=64)
    quality = ingest(tmp_path / "a.mp4", tmp_path / "out", IngestSettings(size_mono=48))
    assert quality.status == "warn"
    assert "no face" in quality.messages[0]
    with FrameStore(tmp_path / "out/frames.h5") as store:
        assert store.sizes.tolist() == [[48, 32]]


def test_calibration_of_another_size_is_refused(tmp_path: Path) -> None:
    write_clip(tmp_path / "capture/talk/cam_0.mp4", [40, 60])
    write_cameras(tmp_path / "capture", {"0": camera(width=128)})
    with pytest.raises(UserError, match=r"cam_0\.mp4: a frame is 64 x 48, expected 128 x 48"):
        ingest(tmp_path / "capture", tmp_path / "out")
    assert not (tmp_path / "out/frames.h5").exists()


@pytest.mark.fault("M16")
def test_a_calibration_of_3600_million_pixels_is_refused_by_size(tmp_path: Path) -> None:
    write_clip(tmp_path / "capture/talk/cam_0.mp4", [40, 60])
    entry = camera(width=60_000, height=60_000, distortion=[0.1, 0, 0, 0, 0])
    write_cameras(tmp_path / "capture", {"0": entry})
    with pytest.raises(UserError, match=r"a frame is 64 x 48, expected 60000 x 60000"):
        ingest(tmp_path / "capture", tmp_path / "out")


@pytest.mark.fault("M16")
def test_distortion_that_leaves_no_picture_is_refused(tmp_path: Path) -> None:
    write_clip(tmp_path / "capture/talk/cam_0.mp4", [40, 60])
    write_cameras(tmp_path / "capture", {"0": camera(distortion=[1e6, 0, 0, 0, 0])})
    with pytest.raises(UserError, match=r"distortion .* leaves 0% of the frame"):
        ingest(tmp_path / "capture", tmp_path / "out")
    assert not (tmp_path / "out/frames.h5").exists()


@pytest.mark.fault("M16")
def test_distortion_that_costs_a_part_warns(tmp_path: Path) -> None:
    write_clip(tmp_path / "capture/talk/cam_0.mp4", [40, 60])
    write_cameras(tmp_path / "capture", {"0": camera(distortion=[0.5, 0, 0, 0, 0])})
    quality = ingest(tmp_path / "capture", tmp_path / "out")
    assert quality.status == "warn"
    assert "without a picture" in quality.messages[0]


def test_a_second_run_writes_the_same(tmp_path: Path) -> None:
    write_clip(tmp_path / "capture/talk/cam_0.mp4", [40, 60, 80])
    write_cameras(tmp_path / "capture", {"0": camera()})
    names = ("index.json", "cameras.json", "quality.json")
    written = []
    for _ in range(2):
        ingest(tmp_path / "capture", tmp_path / "out")
        with FrameStore(tmp_path / "out/frames.h5") as store:
            blobs = [store.blob("image", row).tobytes() for row in range(3)]
        written.append([blobs, *((tmp_path / "out" / name).read_text() for name in names)])
    assert written[0] == written[1]


BAD = {
    "empty.mp4": (b"", "is empty"),
    "text.mp4": (b"no video " * 99, "is not a video"),
    "absent.mp4": (None, "does not exist"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_ends_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    content, message = BAD[name]
    capture = tmp_path / name
    if content is not None:
        capture.write_bytes(content)
    results = tmp_path / "results"
    assert main(["--subject", "s", "--capture", str(capture), "--results", str(results)]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    assert message in lines[0]
    assert not (results / "s/ingest/frames.h5").exists()
    record = json.loads((results / "s/failures/ingest.json").read_text())
    assert f"error: {record['error']}" == lines[0]
    assert {p.name for p in tmp_path.iterdir()} <= {name, "results"}


def test_a_single_frame_is_refused(tmp_path: Path) -> None:
    media.write_video(tmp_path / "one.mp4", grey_frames([50]), 25)
    with pytest.raises(UserError, match="holds 1 whole frames"):
        ingest(tmp_path / "one.mp4", tmp_path / "out")


@pytest.mark.parametrize("name", ["audio_only.mp3", "two_faces_320x192_12fps.yuv"])
def test_real_files_without_video_end_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    clip = real_clip(f"hard_clips/{name}")
    assert main(["--subject", "s", "--capture", str(clip), "--results", str(tmp_path)]) == 2
    errors = [k for k in capsys.readouterr().err.splitlines() if k.startswith("error:")]
    assert len(errors) == 1


@pytest.mark.parametrize("subject", ["a;touch X", "../x", "", "a/b", ".hidden", "tables"])
def test_bad_subjects_write_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    subject: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_clip(Path("a.mp4"), [40, 50])
    assert main(["--subject", subject, "--capture", "a.mp4"]) == 2
    assert capsys.readouterr().err.startswith("error: subject name")
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize("text", ['{"sise": 3}', '{"size": 0}', '{"size": "big"}', "[]"])
def test_bad_settings_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    arguments = ["--subject", "s", "--capture", "x", "--results", str(tmp_path)]
    assert main([*arguments, "--settings", text]) == 2
    assert capsys.readouterr().err.startswith("error: settings: ")
