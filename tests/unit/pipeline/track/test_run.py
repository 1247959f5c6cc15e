import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from avatar.base import files
from avatar.base.errors import UserError
from avatar.data.cameras import Cameras
from avatar.render.mesh import shade
from avatar.rig import HeadRig, RigParams
from pipeline import media
from pipeline.pack.run import check_gate
from pipeline.track.__main__ import main
from tests.unit.pipeline.track.capture import cameras, plain_colours, write_store

SIZE, STEPS = 224, 8


def _write_capture(home: Path, frames: list[np.ndarray], timesteps: int) -> None:
    write_store(home / "ingest" / "frames.h5", frames, 1, timesteps)
    index = {"source_size": [SIZE, SIZE], "scale": [1, 1], "center": [SIZE / 2, SIZE / 2]}
    files.write_json(home / "ingest" / "index.json", {"cameras": {"0": index}})


def _film(rig: HeadRig) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
    """A head that turns and opens its mouth: frames, alphas and the jaw's angles."""
    _, viewmats = cameras(1)
    viewmats[0, 2, 3] = 0.5
    K = np.array([[1.35 * SIZE, 0, SIZE / 2], [0, 1.35 * SIZE, SIZE / 2], [0, 0, 1]])
    jaw = 0.15 * (1 - np.cos(np.arange(STEPS) * 2 * np.pi / STEPS))
    frames, alphas = [], []
    for step in range(STEPS):
        still, turn = torch.zeros(3), torch.tensor([0.0, 0.05 * step - 0.15, 0.0])
        opened = torch.tensor([jaw[step], 0.0, 0.0]).float()
        verts = rig(
            torch.zeros(rig.num_shape), torch.zeros(rig.num_expr), turn, still, opened,
            torch.zeros(6), still,
        )  # fmt: skip
        image, ids = shade(
            verts.numpy().astype(float), rig.faces.numpy(), plain_colours(rig), viewmats[0], K,
            SIZE, SIZE, 0.6,
        )  # fmt: skip
        frames.append((image * 255).astype(np.uint8))
        alphas.append(np.where(ids >= 0, 255, 0).astype(np.uint8))
    return frames, alphas, jaw


def test_a_subject_from_frames_to_files(
    anny_rig: HeadRig, anny_rig_path: Path, tmp_path: Path
) -> None:
    home = tmp_path / "ann"
    frames, alphas, jaw = _film(anny_rig)
    frames[5] = np.full_like(frames[5], 128)  # nobody there
    _write_capture(home, frames, STEPS)
    write_store(home / "matte" / "alpha.h5", alphas, 1, STEPS)
    arguments = ["--subject", "ann", "--results", str(tmp_path), "--rig", str(anny_rig_path)]
    torch.set_num_threads(2)
    assert main(arguments) == 0
    assert torch.get_num_threads() == 1

    params = RigParams.load(home / "track" / "params.npz")
    assert params.valid.tolist() == [True] * 5 + [False] + [True] * 2
    assert params.rig_sha256 == anny_rig.sha256
    bridged = (params.jaw_pose[4] + params.jaw_pose[6]) / 2
    assert params.jaw_pose[5].numpy() == pytest.approx(bridged.numpy(), abs=1e-6)
    assert np.corrcoef(params.jaw_pose[params.valid, 0], jaw[params.valid])[0, 1] > 0.8
    written = Cameras.load(home / "track" / "cameras.json")
    assert written.Ks[0, 0, 0] == pytest.approx(1.35 * SIZE, rel=0.15)
    assert len(list(media.read_video(home / "track" / "overlay.mp4"))) == STEPS // 2
    graded = json.loads((home / "track" / "quality.json").read_text())
    assert graded["status"] == "warn"  # for the missing frame
    assert graded["metrics"]["face_share"] == 7 / 8
    assert graded["metrics"]["reprojection_percent_mean"] < 3
    assert graded["metrics"]["silhouette_iou"] > 0.85


def test_a_fit_given_as_an_external_track_comes_out_the_same(
    anny_rig: HeadRig, anny_rig_path: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """One uncalibrated camera: the fit's own cameras lie beside its params."""
    home = tmp_path / "ann"
    frames, alphas, _ = _film(anny_rig)
    _write_capture(home, frames, STEPS)
    write_store(home / "matte" / "alpha.h5", alphas, 1, STEPS)
    arguments = ["--subject", "ann", "--results", str(tmp_path), "--rig", str(anny_rig_path)]
    assert main(arguments) == 0
    given = (home / "track").rename(tmp_path / "given")
    settings = ["--settings", json.dumps({"external": str(given)})]
    assert main([*arguments, *settings]) == 0

    fitted = RigParams.load(given / "params.npz")
    for name, value in vars(RigParams.load(home / "track" / "params.npz")).items():
        np.testing.assert_array_equal(value, getattr(fitted, name), err_msg=name)
    assert (home / "track/cameras.json").read_text() == (given / "cameras.json").read_text()
    before, after = (
        json.loads((folder / "quality.json").read_text())["metrics"]
        for folder in (given, home / "track")
    )
    assert after["source"] == f"external tracks: {given / 'params.npz'}"
    # Static offsets lie on the face, too, where only the second measure has them.
    assert after["reprojection_percent_mean"] == pytest.approx(
        before["reprojection_percent_mean"], abs=0.5
    )
    assert after["silhouette_iou"] == pytest.approx(before["silhouette_iou"], abs=1e-6)
    assert len(list(media.read_video(home / "track" / "overlay.mp4"))) == STEPS // 2

    (given / "cameras.json").unlink()
    assert main([*arguments, *settings]) == 2
    assert "camera '0' has no calibration" in capfd.readouterr().err


def test_no_face_is_one_clear_line(
    anny_rig_path: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    _write_capture(tmp_path / "wall", [np.full((64, 64, 3), 200, np.uint8)] * 3, 3)
    arguments = ["--subject", "wall", "--results", str(tmp_path), "--rig", str(anny_rig_path)]
    assert main(arguments) == 2
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    assert "no face in any of 3 frames" in lines[0]
    assert not (tmp_path / "wall" / "track" / "params.npz").exists()


def test_an_unknown_setting_is_refused(
    anny_rig_path: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--subject", "x", "--results", str(tmp_path), "--rig", str(anny_rig_path)]
    assert main([*arguments, "--settings", '{"priors": {"expression": 1}}']) == 2
    assert "priors.expression" in capfd.readouterr().err


def _refused(folder: Path, rig: Path, name: str, capfd: pytest.CaptureFixture[str], *more) -> str:
    """The one error line of a subject that is refused before anything is written."""
    arguments = ["--subject", name, "--results", str(folder), "--rig", str(rig)]
    assert main([*arguments, *more]) == 2
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    assert not (folder / name / "track").exists()
    return lines[0]


@pytest.mark.parametrize(("quarters", "degrees"), [(1, r"-(8|9)\d"), (2, r"-?1[78]\d")])
def test_a_head_that_lies_is_one_clear_line(
    anny_rig: HeadRig, anny_rig_path: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str],
    quarters: int, degrees: str,
) -> None:  # fmt: skip
    frames = [np.rot90(frame, quarters) for frame in _film(anny_rig)[0]]
    _write_capture(tmp_path / "bed", frames, STEPS)
    line = _refused(tmp_path, anny_rig_path, "bed", capfd)
    assert re.search(f"camera 0: the head lies at {degrees} degrees: turn the video", line)


def test_cameras_in_millimetres_are_one_clear_line(
    anny_rig: HeadRig, anny_rig_path: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    Ks, viewmats = cameras(2)
    viewmats[:, 2, 3] = 0.9
    Ks[:, [0, 1], [0, 1]] = 600
    verts = anny_rig.v_template.numpy().astype(float)
    faces = anny_rig.faces.numpy()
    frames = []
    for K, viewmat in zip(Ks, viewmats, strict=True):
        image, _ = shade(verts, faces, plain_colours(anny_rig), viewmat, K, 256, 256, 0.6)
        frames += [(image * 255).astype(np.uint8)] * 3
    write_store(tmp_path / "two" / "ingest" / "frames.h5", frames, 2, 3)
    viewmats[:, :3, 3] *= 1000
    calibration = Cameras(
        ["0", "1"], Ks, viewmats, np.full((2, 2), 256), np.zeros((2, 5)), np.zeros(2)
    )
    calibration.save(tmp_path / "two" / "ingest" / "cameras.json")
    whole = {"scale": [1, 1], "center": [128, 128], "source_size": [256, 256]}
    files.write_json(tmp_path / "two/ingest/index.json", {"cameras": {"0": whole, "1": whole}})
    line = _refused(tmp_path, anny_rig_path, "two", capfd)
    assert "only if their matrices are in millimetres" in line


def test_a_face_in_three_of_many_frames_fails_the_gate(
    anny_rig: HeadRig, anny_rig_path: Path, tmp_path: Path
) -> None:
    frames = [np.full((SIZE, SIZE, 3), 128, np.uint8)] * 60
    frames[20:23] = _film(anny_rig)[0][:3]
    _write_capture(tmp_path / "rare", frames, 60)
    arguments = ["--subject", "rare", "--results", str(tmp_path), "--rig", str(anny_rig_path)]
    assert main(arguments) == 0
    graded = json.loads((tmp_path / "rare" / "track" / "quality.json").read_text())
    assert graded["status"] == "fail"
    assert graded["messages"][0].startswith("a face in 5% of the timesteps, none in main 23 to")
    assert graded["metrics"]["lost_between"] == 0
    assert (tmp_path / "rare" / "track" / "quality.png").stat().st_size > 5000
    with pytest.raises(UserError, match="tracking failed: a face in 5%"):
        check_gate(tmp_path / "rare" / "track", "strict")
    check_gate(tmp_path / "rare" / "track", "warn")


def test_a_wrong_blendshape_model_is_one_clear_line(
    anny_rig_path: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    _write_capture(tmp_path / "ann", [np.full((64, 64, 3), 200, np.uint8)] * 3, 3)
    (tmp_path / "a.task").write_bytes(b"x")
    settings = json.dumps({"task_model": str(tmp_path / "a.task"), "task_model_sha256": "0" * 64})
    line = _refused(tmp_path, anny_rig_path, "ann", capfd, "--settings", settings)
    assert "a.task has the sha256" in line


def test_the_stage_loads_nothing_heavy_before_its_detectors_start() -> None:
    script = """
import sys
import pipeline.track.run
print({"torch", "numba", "scipy", "av", "mediapipe", "matplotlib"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "set()\n"), done.stderr
