"""Motion files: what recorders write is read, what cannot be driven is one error."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from avatar.animate import motion_file
from avatar.base.errors import UserError
from avatar.rig import HeadRig, arkit
from avatar.rig.rotations import axis_angle_to_matrix
from tests.scenes import moving_params
from tests.unit.avatar.animate.test_motion import arkit_rig

CAPITALS = [name[0].upper() + name[1:] for name in arkit.ARKIT_NAMES]
LIVE_LINK = ["Timecode", "BlendShapeCount", *CAPITALS, *motion_file.HEAD, *motion_file.EYES]


def live_link(path: Path, codes: list[str], **columns: list[float]) -> Path:
    """A file as Live Link Face writes it, all columns 0 but for those given."""
    lines = [",".join(LIVE_LINK)]
    for row, code in enumerate(codes):
        values = [columns[name][row] if name in columns else 0 for name in LIVE_LINK[2:]]
        lines.append(",".join(map(str, [code, 61, *values])))
    path.write_text("\ufeff" + "\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_json(path: Path, **changes: object) -> Path:
    frames = [{"weights": [0.1 * k] * 52, "rotation": []} for k in range(4)]
    value = {"names": list(arkit.ARKIT_NAMES), "metadata": {"fps": 30}, "frames": frames}
    path.write_text(json.dumps(value | changes))
    return path


def test_live_link_face(tmp_path: Path) -> None:
    codes = ["09:59:59:58.500", "09:59:59:59.500", "10:00:00:00.500"]
    path = live_link(tmp_path / "a.csv", codes, JawOpen=[0, 0.5, 1], HeadYaw=[0, 0.1, 0.2])
    found = motion_file.read(path)
    assert set(found.strengths) == set(arkit.ARKIT_NAMES)
    np.testing.assert_allclose(found.strengths["jawOpen"], [0, 0.5, 1])
    np.testing.assert_allclose(found.time, np.arange(3) / 60)
    assert found.head is not None
    np.testing.assert_allclose(found.head[:, 1], [0, 0.1, 0.2])
    assert found.eyes is not None


def test_a_recording_over_midnight(tmp_path: Path) -> None:
    found = motion_file.read(live_link(tmp_path / "a.csv", ["23:59:59:59.0", "00:00:00:00.0"]))
    np.testing.assert_allclose(found.time, [0, 1 / 60])


def test_json_of_lam_webrender(tmp_path: Path) -> None:
    found = motion_file.read(write_json(tmp_path / "a.json", metadata={"fps": 50}))
    np.testing.assert_allclose(found.strengths["mouthPucker"], [0, 0.1, 0.2, 0.3])
    np.testing.assert_allclose(found.time, np.arange(4) / 50)
    assert found.head is None
    assert found.eyes is None


def test_a_csv_without_times_or_with_its_own(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("jawOpen,browInnerUp\n0.1,0.2\n0.3,1.04\n")
    found = motion_file.read(path)
    np.testing.assert_allclose(found.time, [0, 1 / motion_file.RATE])
    assert found.strengths["browInnerUp"][1] == 1  # a little too much is the most
    path.write_text("time,jawOpen\n5.0,0.1\n5.5,0.3\n")
    np.testing.assert_allclose(motion_file.read(path).time, [0, 0.5])


def test_times_of_json_frames(tmp_path: Path) -> None:
    frames = [{"weights": [0.1] * 52, "time": 2 + 0.04 * k} for k in range(3)]
    found = motion_file.read(write_json(tmp_path / "a.json", frames=frames))
    np.testing.assert_allclose(found.time, [0, 0.04, 0.08])


@pytest.mark.parametrize("newline", ["\r\n", "\r"])
def test_line_ends_and_quotes_of_other_programs(tmp_path: Path, newline: str) -> None:
    (tmp_path / "a.csv").write_bytes(
        newline.join(['jawOpen, "jawLeft"', '0.1,"0.2"', ","]).encode()
    )
    np.testing.assert_allclose(motion_file.read(tmp_path / "a.csv").strengths["jawLeft"], [0.2])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x" * 200_000 + "\n0\n", "not a table of comma-separated values"),
        ("jawOpen,smile\n0,0\n", "'smile' is not one of ARKit's 52 names"),
        ("jawOpen,jawopen\n0,0\n", "twice"),
        ("jawOpen\nnan\n", "jawOpen in row 2 is 'nan', expected a finite number"),
        ("jawOpen,browInnerUp\n0.1,\n", "browInnerUp in row 2 is ''"),
        ("jawOpen,browInnerUp\n0.1\n", "row 2 has 1 cells, the header has 2"),
        ("jawOpen\n", "no rows"),
        ("time\n0\n", "no column of coefficients"),
        ("time,jawOpen\n0,0\n3,0\n", r"3\.0 s are missing after frame 1"),
        ("time,jawOpen\n1,0\n1,0\n", "frame 2 is not after"),
        ("jawOpen\n40\n", "jawOpen reaches 40, expected 0 to 1"),
        ("Timecode,jawOpen\nnow,0\n", "timecode 'now' in row 2"),
    ],
)
def test_a_csv_that_cannot_be_driven(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        motion_file.read(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"names": ["jawOpen"]}, "weights of frame 0 are 52 numbers, expected 1"),
        ({"frames": []}, "no frames"),
        ({"frames": [{"weights": [None] * 52}]}, "browDownLeft in row 0 is 'None'"),
        ({"metadata": {"fps": 0}}, "fps is 0"),
        ({"names": ["jawOpen", "JawOpen"]}, "twice"),
        ({"frames": [{"weights": [0] * 52, "time": 0}, {"weights": [0] * 52}]}, "time in row 1"),
        ({"frames": 7}, "is not a motion file"),
        ({"names": ["x"] * 52}, "'x' is not one of"),
    ],
)
def test_json_that_cannot_be_driven(tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        motion_file.read(write_json(tmp_path / "a.json", **changes))


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "a.json").write_text("{")
    for path in (tmp_path / "a.csv", tmp_path / "a.json", tmp_path / "b.csv", tmp_path / "b.json"):
        with pytest.raises(UserError, match=path.name):
            motion_file.read(path)


def test_a_recording_moves_jaw_head_and_gaze(rig: HeadRig, tmp_path: Path) -> None:
    own = moving_params(rig, 6)
    own.neck_pose[:] = 0
    codes = [f"00:00:01:{k:02d}.0" for k in range(2)]
    path = live_link(
        tmp_path / "a.csv", codes, JawOpen=[0, 1], HeadPitch=[0, 0.2], EyeLookDownLeft=[0, 1],
        LeftEyePitch=[0, 9],
    )  # fmt: skip
    recording = motion_file.read(path)
    poses = motion_file.motion.named_poses(arkit_rig(rig), recording.strengths, 2)
    driven_by_names = motion_file.Recording({}, recording.head, recording.eyes, recording.time)
    driven = motion_file.to_motion(driven_by_names, own, rig)
    assert float(poses["jaw_pose"][1, 0]) == pytest.approx(arkit.JAW_OPEN)
    expected = axis_angle_to_matrix(torch.tensor([0.2, 0.0, 0.0]))
    torch.testing.assert_close(axis_angle_to_matrix(driven.neck_pose[1]), expected)
    assert float(driven.eyes_pose[1, 0]) == 9, "without eyeLook the rotations count"
    with pytest.raises(UserError, match="'browDownLeft' is not an expression of rig toy"):
        motion_file.to_motion(recording, own, rig)
