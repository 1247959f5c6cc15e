from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from avatar.data.reader import FrameStore
from pipeline.common.gate import Quality
from pipeline.detect.landmarks import Detections
from pipeline.track.report import quality
from pipeline.track.report.quality_plot import write_plot
from pipeline.track.settings import Gate
from pipeline.track.solve import rotations
from tests.unit.pipeline.track.capture import FOCAL, Toy, toy, write_store


@pytest.fixture
def scene() -> Toy:
    scene = toy(timesteps=20, cams=2)
    scene.problem.reweight(scene.truth)
    return scene


def _graded(
    scene: Toy,
    folder: Path,
    gate: Gate | None = None,
    found: np.ndarray | None = None,
    valid: np.ndarray | None = None,
    overlaps: dict[str, float] | None = None,
    external: bool = False,
) -> Quality:
    write_store(folder / "frames.h5", [np.zeros((4, 4, 3), np.uint8)] * 40, 2, 20)
    found = np.ones(40, bool) if found is None else found
    detections = Detections(np.zeros((40, 478, 2), np.float32), found)
    valid = np.ones(20, bool) if valid is None else valid
    with FrameStore(folder / "frames.h5") as store:
        measures = quality.measure(scene.problem, scene.truth, valid, store, detections)
        names = ["smile", "frown", "blink", "puff"]
        write_plot(folder / "quality.png", measures, store, names, gate or Gate())
        return quality.grade(
            gate or Gate(), measures, store, names, scene.truth, overlaps or {}, external
        )


def test_eye_distance_of_a_head_that_faces_the_camera(scene: Toy) -> None:
    problem = scene.problem
    state = problem.initial(np.tile(np.eye(3), (20, 1, 1)), np.zeros((20, 3)))
    ids = problem.model.ids.tolist()
    head = problem.head(state)[0]
    metres = np.linalg.norm(head[ids.index(33)] - head[ids.index(263)])
    got = quality.eye_distance(problem, state)
    assert got.mean() == pytest.approx(metres * FOCAL / 0.6, rel=0.02)


def test_reprojection_is_the_mean_distance_in_pixels(scene: Toy) -> None:
    scene.problem.points += [3.0, 4.0]
    assert quality.reprojection(scene.problem, scene.truth) == pytest.approx(np.full((20, 2), 5.0))


def test_a_frame_without_a_face_has_no_reprojection_error(scene: Toy) -> None:
    seen = scene.problem.observations.seen.copy()
    seen[3, 1] = False
    scene.problem.observations = replace(scene.problem.observations, seen=seen)
    error = quality.reprojection(scene.problem, scene.truth)
    assert np.isnan(error[3, 1])
    assert np.isfinite(error).sum() == 39


def test_jitter_of_white_noise_is_its_deviation() -> None:
    scene = toy(timesteps=400, cams=1)
    rng = np.random.default_rng(0)
    still = scene.problem.initial(np.tile(np.eye(3), (400, 1, 1)), np.zeros((400, 3)))
    noise = 1e-4 * rng.normal(size=(400, 3)) * [1, 1, 0]  # 0.1 mm sideways and up
    shaken = replace(still, centre=noise)
    unit = quality.eye_distance(scene.problem, still).mean()
    expected = 1e-4 * FOCAL / 0.6 / unit
    got = quality.jitter(quality.shake(scene.problem, shaken))
    assert got == pytest.approx(expected, rel=0.15)
    assert quality.jitter(quality.shake(scene.problem, still)) == pytest.approx(0, abs=1e-12)


def test_a_head_that_never_rests_has_no_jitter(scene: Toy) -> None:
    moving = replace(scene.truth, centre=0.01 * np.arange(20)[:, None] * np.array([1.0, 0, 0]))
    assert np.isnan(quality.jitter(quality.shake(scene.problem, moving)))


def test_a_good_track_passes(scene: Toy, tmp_path: Path) -> None:
    graded = _graded(scene, tmp_path)
    assert graded.status == "pass"
    assert graded.messages == []
    assert graded.metrics["face_share"] == 1
    assert graded.metrics["reprojection_px"]["0"] == pytest.approx(0, abs=1e-4)
    assert graded.metrics["outlier_detections"] == {"0": 0, "1": 0}
    height, width, _ = cv2.imread(str(tmp_path / "quality.png")).shape
    assert 300 < height < width


def test_a_view_from_the_side_counts_where_it_is_the_only_one(scene: Toy, tmp_path: Path) -> None:
    observed = scene.problem.observations
    round_ = rotations.exp(np.radians([0.0, 100.0, 0.0]))
    observed.viewmats[1, :3, :3] = observed.viewmats[1, :3, :3] @ round_
    scene.problem.reweight(scene.truth)
    scene.problem.points[:] = scene.problem.pixels(scene.truth)
    scene.problem.points[:, 1] += 30.0
    graded = _graded(scene, tmp_path)
    assert graded.metrics["reprojection_percent_mean"] == pytest.approx(0, abs=1e-3)
    assert graded.metrics["reprojection_px"]["1"] == pytest.approx(30 * np.sqrt(2))
    assert graded.status == "pass"
    observed.seen[4:, 0] = False
    assert _graded(scene, tmp_path / "alone").status == "fail"


@pytest.mark.parametrize(("count", "status"), [(19, "pass"), (17, "warn"), (9, "fail")])
def test_face_share_decides(scene: Toy, tmp_path: Path, count: int, status: str) -> None:
    valid = np.arange(20) < count
    scene.problem = scene.problem.at(np.arange(count))
    scene.truth = scene.truth.at(np.arange(count))
    scene.problem.reweight(scene.truth)
    graded = _graded(scene, tmp_path, valid=valid)
    assert graded.status == status
    if status != "pass":
        assert f"none in main {count} to main 19" in graded.messages[0]
        assert "camera 0 sees it least" in graded.messages[0]


def test_the_message_names_the_worst_camera_and_stretch(scene: Toy, tmp_path: Path) -> None:
    scene.problem.points[2:18, 1] += 40.0
    graded = _graded(scene, tmp_path)
    assert graded.status == "fail"
    assert "camera 1, main 2 to main 16" in graded.messages[0]


@pytest.mark.fault("H3")
@pytest.mark.parametrize(("outliers", "status"), [(4, "pass"), (12, "warn"), (21, "fail")])
def test_many_outliers_do_not_pass(scene: Toy, tmp_path: Path, outliers: int, status: str) -> None:
    graded = _graded(scene, tmp_path, found=np.arange(40) >= outliers)
    assert graded.metrics["outlier_share"] == outliers / 40
    assert graded.status == status
    assert status == "pass" or "in camera 0: another person" in graded.messages[0]


@pytest.mark.parametrize(("overlap", "status"), [(0.9, "pass"), (0.6, "warn"), (0.3, "fail")])
def test_the_silhouette_decides(scene: Toy, tmp_path: Path, overlap: float, status: str) -> None:
    graded = _graded(scene, tmp_path, overlaps={"silhouette_iou": overlap})
    assert graded.status == status


def test_an_external_track_without_any_face_is_not_graded_by_landmarks(
    scene: Toy, tmp_path: Path
) -> None:
    nothing = np.zeros_like(scene.problem.observations.seen)
    scene.problem.observations = replace(scene.problem.observations, seen=nothing)
    graded = _graded(scene, tmp_path, found=np.zeros(40, bool), external=True)
    assert graded.status == "pass"
    assert np.isnan(graded.metrics["reprojection_percent_mean"])


def test_saturated_blendshapes_are_remarked(scene: Toy, tmp_path: Path) -> None:
    expr = scene.truth.expr.copy()
    expr[:, 0] = 1.0
    scene.truth = replace(scene.truth, expr=expr)
    loose = Gate(reprojection=(98, 99), jitter=(98, 99))
    graded = _graded(scene, tmp_path, gate=loose)
    assert graded.metrics["saturation"] == 0.25
    assert graded.status == "warn"
    assert "25%" in graded.messages[0]
    assert "most often smile (100%)" in graded.messages[0]
    assert graded.metrics["most_saturated"] == {"smile": 1.0}


def test_frames_lost_between_the_first_and_the_last_found() -> None:
    valid = np.array([0, 1, 0, 0, 1, 0, 0, 1, 0, 1], bool)
    sequence = np.array([0] * 6 + [1] * 4)
    assert quality.lost_between(valid, sequence) == 2 + 1


def test_jitter_in_pixels_of_a_frame_of_512(scene: Toy, tmp_path: Path) -> None:
    still = scene.problem.initial(np.tile(np.eye(3), (20, 1, 1)), np.zeros((20, 3)))
    rng = np.random.default_rng(0)
    scene.truth = replace(still, centre=1e-4 * rng.normal(size=(20, 3)))
    graded = _graded(scene, tmp_path, gate=Gate(reprojection=(998, 999)))
    eyes = quality.eye_distance(scene.problem, scene.truth).mean()
    # The frames on file are 4 pixels wide.
    expected = graded.metrics["jitter_per_mille"] / 1000 * eyes * 512 / 4
    assert graded.metrics["jitter_px_at_512"] == pytest.approx(expected, rel=0.02)
