"""FLAME's parameters of other trackers: the same vertices, by their convention in plain NumPy."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from avatar.base.errors import UserError
from avatar.data.cameras import Cameras
from avatar.data.reader import FrameStore
from avatar.rig import HeadRig
from avatar.rig.rotations import axis_angle_to_matrix
from pipeline.ingest import run as stage
from pipeline.ingest.settings import IngestSettings
from pipeline.rigs.flame import bake
from pipeline.track import external
from pipeline.track.evidence import observe
from tests import flames
from tests.flame_tracks import Moves, add_tracks, at, euler, moves, write_avatars, write_benchmark
from tests.hard_cases import nersemble_folder, transforms_folder

CLOSE = 1e-5  # m
EMOTION, EYES = "074_EMO-1", "074_EXP-2"  # sequences of the union


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> HeadRig:
    return bake.bake(flames.save_npz(tmp_path_factory.mktemp("flame") / "flame.npz"))[0]


def read(
    capture: Path, rig: HeadRig, setting: str = "auto", settings: IngestSettings | None = None
) -> external.ExternalTrack:
    """Ingest a capture and read its external track."""
    home = capture.parent / "results"
    stage.ingest(capture, home / "ingest", settings)
    chosen = external.choose(setting, "ann", capture, rig, [])
    assert chosen is not None
    with FrameStore(home / "ingest/frames.h5") as store:
        given, known = observe.cameras(home / "ingest", store, 1.35)
        return external.read(chosen, home, store, rig, given, known)


def posed(rig: HeadRig, track: external.ExternalTrack) -> np.ndarray:
    """FLAME's own vertices at every timestep."""
    with torch.no_grad():
        return rig(**track.params.poses(torch.arange(len(track.params)))).numpy()[:, :5023]


def benchmark_folder(folder: Path, scale: float = 1.1, **changed: object) -> tuple[Path, Moves]:
    """A participant whose two sequences of four frames have tracks; the moves of the first."""
    home, given = nersemble_folder(folder), moves(4)
    for name in ("EMO-1-shout+laugh", "EXP-2-eyes"):
        path = home / f"sequences/{name}/tracking/flame2023_tracking.npz"
        write_benchmark(path, given, scale, **(changed if name.startswith("EMO") else {}))
    return home, given


def test_nersembles_benchmark_turns_outside_of_the_skinning(rig: HeadRig, tmp_path: Path) -> None:
    capture, given = benchmark_folder(tmp_path)
    track = read(capture, rig)
    assert track.params.sequence.tolist() == ["EMO-1-shout_laugh"] * 4 + ["EXP-2-eyes"] * 4
    assert track.params.valid.all()
    assert track.params.rig_sha256 == rig.sha256
    for frame in range(4):
        alone = at(given, frame) | {"rotation": np.zeros(3)}
        turned = flames.vertices(**alone) @ euler(given["rotation"][frame]).T
        expected = 1.1 * turned + given["translation"][frame]
        got = posed(rig, track)[[frame, 4 + frame]]  # the world's unit is 1.1 m
        np.testing.assert_allclose(1.1 * got, np.stack([expected] * 2), atol=CLOSE)
    assert track.remarks == ["the world is in units of the tracks' scale, 1.1 m"]


def test_cameras_share_the_scale(rig: HeadRig, tmp_path: Path) -> None:
    """A point of the world is seen at the same pixel as before."""
    capture, _ = benchmark_folder(tmp_path)
    params = capture / "calibration/camera_params.json"
    eye = "[1.0, 0.0, 0.0, 0.0]"
    params.write_text(params.read_text().replace(eye, "[1.0, 0.0, 0.0, 0.7]"))
    track = read(capture, rig)
    metres = Cameras.load(tmp_path / "results/ingest/cameras.json")
    assert metres.viewmats[0, 0, 3] == 0.7
    point = np.array([0.1, -0.2, 0.9])
    seen = metres.viewmats[0, :3, :3] @ point + metres.viewmats[0, :3, 3]
    again = track.cameras.viewmats[0, :3, :3] @ (point / 1.1) + track.cameras.viewmats[0, :3, 3]
    np.testing.assert_allclose(again / again[2], seen / seen[2])


def test_another_scale_or_shape_keeps_the_head_in_place(rig: HeadRig, tmp_path: Path) -> None:
    """One person has one identity, the first sequence's; the eyes' middle stays."""
    capture, given = benchmark_folder(tmp_path)
    other = given | {"shape": moves(4, seed=8)["shape"]}
    write_benchmark(capture / "sequences/EXP-2-eyes/tracking/flame2023_tracking.npz", other, 1.2)
    track = read(capture, rig)
    arrays, params = flames.flame_arrays(), track.params
    for frame in range(4):
        face = arrays["shapedirs"] @ np.append(other["shape"], other["expr"][frame])
        joints = arrays["J_regressor"] @ (arrays["v_template"] + face)
        turn = Rotation.from_rotvec(given["neck_pose"][frame]).as_matrix()
        eyes = joints[1] + turn @ (joints[3:].mean(0) - joints[1])
        expected = 1.2 * euler(given["rotation"][frame]) @ eyes + given["translation"][frame]
        pose = {name: value[0] for name, value in params.poses(torch.tensor([4 + frame])).items()
                if name != "shape" and name != "static_offset"}  # fmt: skip
        rest = rig.joints(params.shape, pose["expr"])
        angles = torch.stack([pose["rotation"], pose["neck_pose"], *torch.zeros(3, 3)])
        turns, shifts = rig.joint_transforms(axis_angle_to_matrix(angles), rest)
        got = turns[1] @ rest[3:].mean(0) + shifts[1] + pose["translation"]
        np.testing.assert_allclose(1.1 * got, expected, atol=CLOSE)
    assert any("sequence EXP-2-eyes has another identity, by up to" in r for r in track.remarks)


def test_gaussian_avatars_turn_the_root_joint(rig: HeadRig, tmp_path: Path) -> None:
    """Two exported sequences, the world of the second 1 cm aside: vertices in the first's."""
    union, given = transforms_folder(tmp_path), {EMOTION: moves(4), EYES: moves(4, seed=1)}
    given[EYES]["shape"] = given[EMOTION]["shape"]
    add_tracks(union, given)
    track = read(union, rig)
    assert track.source == "external tracks: FLAME's parameters as of GaussianAvatars/VHAP"
    assert track.remarks == []
    for step, (sequence, frame) in enumerate((s, f) for s in given for f in range(4)):
        own = given[sequence]
        expected = flames.vertices(**at(own, frame)) + own["translation"][frame]
        expected -= [0.01 * (sequence == EYES), 0, 0]
        np.testing.assert_allclose(posed(rig, track)[step], expected, atol=CLOSE)
        np.testing.assert_allclose(track.params.jaw_pose[step], own["jaw_pose"][frame], atol=1e-6)
        np.testing.assert_allclose(track.params.eyes_pose[step], own["eyes_pose"][frame], atol=1e-6)


def offsets(teeth: bool = False) -> np.ndarray:
    """Smooth static offsets of some millimetres; they move the joints by as much."""
    verts = flames.flame_arrays()["v_template"]
    offset = 0.004 * np.sin(20 * verts[:, [1, 2, 0]] + 1)
    return np.concatenate([offset, np.full((120, 3), 0.002)]) if teeth else offset


def test_static_offsets_move_flames_joints(rig: HeadRig, tmp_path: Path) -> None:
    """Exact wherever only root and neck turn; elsewhere within what the remark says."""
    union, own = transforms_folder(tmp_path), moves(4)
    add_tracks(union, {EMOTION: own, EYES: own}, static_offset=offsets(teeth=True)[None])
    track = read(union, rig)
    weights = rig.skin_weights[:5023].numpy()
    head = weights[:, 1] > 0.9999
    assert head.sum() > 1000
    assert "static offsets of teeth are left out: up to 2.0 mm" in track.remarks
    said = [r for r in track.remarks if r.startswith("static offsets move FLAME's joints")]
    bound = float(said[0].split()[-2]) / 1000
    assert 1e-4 < bound < 5e-3
    for frame in range(4):
        expected = flames.vertices(**at(own, frame), static_offset=offsets())
        miss = np.linalg.norm(
            posed(rig, track)[frame] - own["translation"][frame] - expected, axis=1
        )
        assert miss[head].max() < CLOSE
        assert 1e-4 < miss.max() < bound + 6e-5  # it is said to a tenth of a millimetre


def test_coefficients_that_a_tracker_did_not_use_are_zero(rig: HeadRig, tmp_path: Path) -> None:
    union, own = transforms_folder(tmp_path), moves(4)
    own["shape"][100:], own["expr"][:, 50:] = 0, 0
    short = {"shape": own["shape"][:100]}
    add_tracks(union, {s: own | {"expr": own["expr"][:, :50]} for s in (EMOTION, EYES)}, **short)
    expected = flames.vertices(**at(own, 2)) + own["translation"][2]
    np.testing.assert_allclose(posed(rig, read(union, rig))[2], expected, atol=CLOSE)


def test_frames_are_matched_by_their_number(rig: HeadRig, tmp_path: Path) -> None:
    """Every second frame, the first left out, and one without a file: held, not valid."""
    union, own = transforms_folder(tmp_path), moves(4)
    add_tracks(union, {EMOTION: own, EYES: own})
    (tmp_path / EYES / "flame_param/00003.npz").unlink()
    settings = IngestSettings(start=1 / 30, fps=15)
    track = read(union, rig, settings=settings)
    assert track.params.index.tolist() == [0, 1, 0, 1]
    assert track.params.valid.tolist() == [True, True, True, False]
    np.testing.assert_allclose(track.params.expr, own["expr"][[1, 3, 1, 1]], atol=1e-6)


def test_one_file_of_the_only_sequence_by_its_path(rig: HeadRig, tmp_path: Path) -> None:
    """As GaussianAvatars keeps a whole sequence beside its avatar."""
    union, own = transforms_folder(tmp_path), moves(4)
    part = union / "transforms_test.json"
    part.unlink()
    path = write_avatars(tmp_path / "flame_param.npz", own, list(range(4)))
    track = read(union, rig, setting=str(path))
    expected = flames.vertices(**at(own, 3)) + own["translation"][3]
    np.testing.assert_allclose(posed(rig, track)[3], expected, atol=CLOSE)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"expression": np.zeros((3, 100)), "rotation": np.zeros((3, 3))}, "different numbers of"),
        ({"jaw": np.full((4, 3), np.nan)}, "jaw holds other things than finite numbers"),
        ({"neck": None, "eyes": None}, "lacks neck, eyes: expected FLAME's"),
        ({"rotation": np.full((4, 3), 90.0)}, "rotation holds 90: expected angles in radians"),
        ({"translation": np.zeros((4, 2))}, r"translation has shape \(4, 2\), expected"),
        ({"shape": np.zeros((4, 300))}, "shape has 4 rows: expected one"),
        ({"shape": np.ones((1, 400))}, "shape has 400 coefficients, the rig 300"),
        ({"scale": np.zeros((1, 1))}, r"scale is \[0.0\], expected one positive number"),
        ({"jaw": np.array([[None]])}, "not an npz file of plain arrays"),
    ],
)
def test_bad_files_end_in_one_line(
    rig: HeadRig, tmp_path: Path, changed: dict[str, object], message: str
) -> None:
    capture, _ = benchmark_folder(tmp_path, **changed)
    with pytest.raises(UserError, match=message) as caught:
        read(capture, rig)
    assert "flame2023_tracking.npz" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_with_another_number_of_frames_is_refused(rig: HeadRig, tmp_path: Path) -> None:
    capture, _ = benchmark_folder(tmp_path)
    write_benchmark(capture / "sequences/EXP-2-eyes/tracking/flame2023_tracking.npz", moves(5), 1)
    with pytest.raises(UserError, match="has 5 frames, the clips of sequence EXP-2-eyes have 4"):
        read(capture, rig)


def test_rotations_that_are_said_twice_must_agree(rig: HeadRig, tmp_path: Path) -> None:
    capture, _ = benchmark_folder(tmp_path, rotation_matrices=np.tile(np.eye(3), (4, 1, 1)))
    assert any("rotation_matrices differ" in remark for remark in read(capture, rig).remarks)
