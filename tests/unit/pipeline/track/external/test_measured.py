"""The stage on a participant of NeRSemble's benchmark, made from FLAME's likeness."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from avatar.data.cameras import Cameras
from avatar.render.mesh import shade
from avatar.rig import HeadRig, RigParams
from pipeline.ingest import run
from pipeline.rigs.flame import bake
from pipeline.rigs.landmark_embedding import embed
from pipeline.track.__main__ import main
from pipeline.track.solve import rotations
from tests import flames
from tests.flame_tracks import Moves, euler, moves, write_benchmark
from tests.hard_cases import encode

SIZE, STEPS, SCALE = 256, 6, 1.1
SERIAL, SEQUENCE = "222200037", "EXP-5-mouth"


@pytest.fixture(scope="module")
def baked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """The rig's file with its landmarks, and its vertices' colours."""
    folder = tmp_path_factory.mktemp("flame")
    rig, texture = bake.bake(flames.save_npz(folder / "flame.npz"))
    rig.landmarks = embed(rig, texture)
    rig.save(folder / "rig.npz")
    colours = np.zeros((rig.num_verts, 3))
    u, v = rig.uv.numpy()[rig.uv_faces.numpy().ravel()].T
    places = (np.stack([1 - v, u]) * len(texture)).astype(int).clip(0, len(texture) - 1)
    colours[rig.faces.numpy().ravel()] = texture[tuple(places)] / 255
    return folder / "rig.npz", colours


def gentle() -> Moves:
    """A head that looks about and opens its mouth; Euler angles."""
    given, turn = moves(STEPS), np.linspace(-0.2, 0.2, STEPS)
    zero = np.zeros(STEPS)
    given["shape"][10:] = 0
    given["expr"][:] *= 0.2
    return given | {
        "rotation": np.stack([0.1 + zero, turn, 0.3 * turn], 1),
        "neck_pose": np.stack([zero, -0.5 * turn, zero], 1),
        "jaw_pose": np.stack([0.1 + turn / 2, zero, zero], 1),
        "eyes_pose": np.zeros((STEPS, 6)),
        "translation": np.stack([0.05 * turn, 0.02 + zero, 0.03 + zero], 1),
    }


def film(folder: Path, rig: HeadRig, colours: np.ndarray, given: Moves) -> Path:
    """A participant's folder: video, calibration and tracks."""
    home = folder / "393"
    K = np.array([[2.2 * SIZE, 0, SIZE / 2], [0, 2.2 * SIZE, SIZE / 2], [0, 0, 1]])
    viewmat = np.diag([1.0, -1, -1, 1])
    viewmat[2, 3] = 1.0
    frames = []
    for step in range(STEPS):
        names = ("neck_pose", "jaw_pose", "eyes_pose", "expr")
        posed = {name: torch.from_numpy(np.float32(given[name][step])) for name in names}
        shape, still = torch.from_numpy(np.float32(given["shape"])), torch.zeros(3)
        verts = rig(shape=shape, rotation=still, translation=still, **posed).double().numpy()
        world = SCALE * verts @ euler(given["rotation"][step]).T + given["translation"][step]
        faces = rig.faces.numpy()
        image, _ = shade(world, faces, colours, viewmat, K, SIZE, SIZE, 0.6)
        frames.append(np.ascontiguousarray((image * 255).astype(np.uint8)))
    encode(home / f"sequences/{SEQUENCE}/images/cam_{SERIAL}.mp4", frames)
    write_benchmark(home / f"sequences/{SEQUENCE}/tracking/flame2023_tracking.npz", given, SCALE)
    params = {"intrinsics": {SERIAL: K.tolist()}, "world_2_cam": {SERIAL: viewmat.tolist()}}
    (home / "calibration").mkdir()
    (home / "calibration/camera_params.json").write_text(json.dumps(params))
    return home


def test_a_participant_with_tracks(
    baked: tuple[Path, np.ndarray], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path, colours = baked
    rig, given = HeadRig.load(path), gentle()
    capture, home = film(tmp_path, rig, colours, given), tmp_path / "results/ann"
    run.ingest(capture, home / "ingest")
    arguments = ["--subject", "ann", "--results", str(tmp_path / "results")]
    arguments += ["--rig", str(path), "--capture", str(capture)]
    assert main(arguments) == 0

    params = RigParams.load(home / "track/params.npz")
    assert params.valid.all()
    turns = np.stack([euler(angles) for angles in given["rotation"]])
    np.testing.assert_allclose(params.rotation.numpy(), rotations.log(turns), atol=1e-6)
    np.testing.assert_allclose(params.neck_pose, given["neck_pose"], atol=1e-6)
    distance = Cameras.load(home / "track/cameras.json").viewmats[0, 2, 3]
    assert distance == pytest.approx(1.0 / SCALE)
    graded = json.loads((home / "track/quality.json").read_text())
    assert graded["metrics"]["source"].endswith("as of NeRSemble's benchmark")
    assert graded["metrics"]["rig_source_sha256"] == rig.source_sha256 != ""
    assert graded["metrics"]["reprojection_percent_mean"] < 5
    assert graded["status"] != "fail"
    assert (home / "track/overlay.mp4").stat().st_size > 0

    # The same tracks 2 m aside are of another capture, and that is noticed.
    given["translation"][:, 0] += 2
    tracking = capture / f"sequences/{SEQUENCE}/tracking/flame2023_tracking.npz"
    write_benchmark(tracking, given, SCALE)
    assert main(arguments) == 2
    assert "the head is in some frame at 0% of the timesteps only" in capfd.readouterr().err
    # A fit is still to be had.
    assert main([*arguments, "--settings", '{"external": "fit"}']) == 0
    assert "source" not in json.loads((home / "track/quality.json").read_text())["metrics"]
