"""The player and `avatar.animate.motion_file` read and refuse the same motion files."""

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avatar.animate import motion_file
from avatar.base.errors import UserError
from avatar.export.player.page import web
from avatar.rig import HeadRig, arkit
from avatar.rig.rotations import axis_angle_to_matrix
from tests.browser.chromium import Page, find
from tests.rigs import toy_rig
from tests.scenes import moving_params
from tests.unit.avatar.animate.test_motion import arkit_rig
from tests.unit.avatar.animate.test_motion_file import LIVE_LINK

pytestmark = pytest.mark.skipif(find() is None, reason="needs Chromium: apt-get install chromium")

HEADER = {
    "expressions": list(arkit.EXPR_NAMES),
    "actions": {name: list(turn) for name, turn in arkit.ROTATIONS.items()},
}
REST = {
    "expr": [0.0] * len(arkit.EXPR_NAMES), "neck_pose": [0.1, -0.2, 0.05],
    "jaw_pose": [0.0] * 3, "eyes_pose": [0.0] * 6,
}  # fmt: skip
_READ = """
(() => {{
  const [file, text, header, rest] = {arguments};
  let motion;
  try {{ motion = readMotion(file, text, header); }} catch (problem) {{ return problem.message; }}
  const clip = motionClip(file, motion, header, rest);
  const poses = Array.from({{ length: clip.length }}, (_, step) => clip.pose(step));
  return {{ seconds: clip.seconds, poses }};
}})()
"""


def live_link(*rows: str) -> str:
    """A CSV of Live Link Face; each row is a timecode and the first strengths, the rest are 0."""
    lines = [",".join(LIVE_LINK)]
    for row in rows:
        code, *values = row.split(",")
        cells = [code, "61", *values]
        lines.append(",".join(cells + ["0"] * (len(LIVE_LINK) - len(cells))))
    return "\ufeff" + "\r\n".join(lines) + "\r\n"


def lam(*frames: dict[str, Any], **more: Any) -> str:
    return json.dumps({"names": ["jawOpen", "mouthPucker"], "frames": frames} | more)


FRAMES = [{"weights": [0.1 * i, 0.5]} for i in range(3)]

VALID = {
    "live_link.csv": live_link("09:59:59:58.5,0.1,0.2", "09:59:59:59.5,0.3", "10:00:00:00.5,1"),
    "midnight.csv": live_link("23:59:59:59.0,0.1", "00:00:00:00.0,0.2"),
    "clock_of_24.csv": live_link("00:00:01:23,0.1", "00:00:02:00,0.2", "00:00:02:01,0.2"),
    "no_times.csv": "jawOpen,BROWINNERUP\n0.1,0.2\n.3,1.04\n-0.01,1e-2\n",
    "one_row.csv": "JawOpen\n0.5\n",
    "times.csv": 'time, "jawOpen"\n5.0,0.1\n\n5.5, 0.3\n,\n5.75,"0.4"\n',
    "old_mac.csv": "jawOpen,jawLeft\r0.1,0.2\r0.3,0.4\r",
    "head.csv": "HeadPitch,HeadYaw,HeadRoll\n0.3,-0.4,0.2\n0,1.1,-0.5\n",
    "eyes.csv": "LeftEyePitch,LeftEyeYaw,RightEyeYaw,LeftEyeRoll\n0.1,0.2,-0.3,x\n0.1,0,0,\n",
    "gaze_twice.csv": "EyeLookDownLeft,EyeLookInRight,LeftEyePitch\n0.5,1,9\n1,0,9\n",
    "no_times.json": lam(*FRAMES),
    "rate.JSON": lam(*FRAMES, metadata={"fps": 50}),
    "times.json": lam(*[f | {"time": 0.04 * i, "rotation": []} for i, f in enumerate(FRAMES)]),
    "turns.json": lam(*[f | {"rotation": [0.1, -0.2, 0.3]} for f in FRAMES], metadata=None),
    "byte_order_mark.json": "\ufeff" + lam(*FRAMES),
}  # fmt: skip

INVALID = {
    "empty.csv": "",
    "header_only.csv": "jawOpen\n",
    "name.csv": "jawOpen,smile\n0,0\n",
    "number_is_nan.csv": "jawOpen\nnan\n",
    "number_is_hexadecimal.csv": "jawOpen\n0x1\n",
    "decimal_comma.csv": 'jawOpen\n"0,5"\n',
    "blank_cell.csv": "jawOpen,browInnerUp\n0.1, \n",
    "short_row.csv": "jawOpen,browInnerUp\n0.1\n",
    "long_row.csv": "jawOpen,browInnerUp\n0.1,0.1,0.1\n",
    "twice.csv": "jawOpen,jawopen\n0,0\n",
    "no_coefficients.csv": "time,BlendShapeCount\n0,61\n",
    "percentages.csv": "jawOpen\n40\n",
    "gap.csv": "time,jawOpen\n0,0\n3,0\n",
    "standing_time.csv": "time,jawOpen\n1,0\n1,0\n",
    "back_in_time.csv": live_link("00:00:01:05,0.1", "00:00:01:04,0.1"),
    "timecode.csv": "Timecode,jawOpen\nnow,0\n",
    "json_inside.csv": lam(*FRAMES),
    "csv_inside.json": "jawOpen\n0.5\n",
    "broken.json": "{",
    "list.json": "[]",
    "no_frames.json": lam(),
    "frames_is_a_number.json": lam(frames=7),
    "frame_is_null.json": json.dumps({"names": ["jawOpen"], "frames": [None]}),
    "names_is_a_number.json": lam(*FRAMES, names=3),
    "name.json": lam(*FRAMES, names=["x", "jawOpen"]),
    "twice.json": lam(*FRAMES, names=["jawOpen", "JawOpen"]),
    "short_weights.json": lam(*FRAMES, {"weights": [1]}),
    "no_weights.json": lam(*FRAMES, {"time": 1}),
    "null_weight.json": lam({"weights": [None, 0]}),
    "list_as_weight.json": lam({"weights": [[0.5], 0]}),
    "true_as_weight.json": lam({"weights": [True, 0]}),
    "percentages.json": lam({"weights": [40, 0]}),
    "one_turn_missing.json": lam(*FRAMES, {"weights": [0, 0], "rotation": [0, 0, 0]}),
    "two_angles.json": lam({"weights": [0, 0], "rotation": [0, 0]}),
    "one_time_missing.json": lam(*FRAMES, {"weights": [0, 0], "time": 1}),
    "gap.json": lam(*[f | {"time": 2 * i} for i, f in enumerate(FRAMES)]),
    "no_rate.json": lam(*FRAMES, metadata={"fps": 0}),
    "rate_is_null.json": lam(*FRAMES, metadata={"fps": None}),
}  # fmt: skip


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A page without an avatar that has the player's modules for motion files."""
    tab = Page(tmp_path_factory.mktemp("profile"))
    modules = "".join(web(f"{name}.js") for name in ("rotations", "motion_file", "motion"))
    text = re.sub(r"^import [^;]*;\n|^export ", "", modules, flags=re.MULTILINE)
    text += "Object.assign(globalThis, { readMotion, motionClip });"
    encoded = base64.b64encode(text.encode()).decode()
    tab.evaluate(f"import('data:text/javascript;base64,{encoded}').then(() => true)")
    yield tab
    tab.close()


def read_by_player(tab: Page, name: str, text: str) -> Any:
    """Step and poses, or the message of a refusal. A browser leaves a byte order mark out."""
    values = [name, text.removeprefix("\ufeff"), HEADER, REST]
    return tab.evaluate(_READ.format(arguments=json.dumps(values)))


def save(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_bytes(text.encode())
    return folder / name


def driven_by_python(path: Path, rig: HeadRig) -> tuple[float, dict[str, np.ndarray]]:
    recording = motion_file.read(path)
    own = moving_params(rig, 1)
    own.neck_pose[:] = own.neck_pose.new_tensor(REST["neck_pose"])
    own.jaw_pose[:] = own.eyes_pose[:] = 0
    driven = motion_file.to_motion(recording, own, arkit_rig(rig))
    turns = axis_angle_to_matrix(driven.neck_pose)
    step = float(np.diff(recording.time).mean()) if len(recording.time) > 1 else 1 / 30
    values = {"expr": driven.expr, "jaw_pose": driven.jaw_pose, "eyes_pose": driven.eyes_pose}
    return step, {name: v.numpy() for name, v in (values | {"turns": turns}).items()}


@pytest.mark.parametrize("name", VALID)
def test_the_same_poses_at_the_same_times(tab: Page, name: str, tmp_path: Path) -> None:
    step, expected = driven_by_python(save(tmp_path, name, VALID[name]), toy_rig())
    found = read_by_player(tab, name, VALID[name])
    assert isinstance(found, dict), found
    assert found["seconds"] == pytest.approx(step)
    for key in ("expr", "jaw_pose", "eyes_pose"):
        poses = np.array([pose[key] for pose in found["poses"]])
        np.testing.assert_allclose(poses, expected[key], atol=1e-6, err_msg=key)
    vectors = moving_params(toy_rig(), 1).neck_pose.new_tensor(
        [pose["neck_pose"] for pose in found["poses"]]
    )
    np.testing.assert_allclose(axis_angle_to_matrix(vectors), expected["turns"], atol=1e-6)


@pytest.mark.parametrize("name", INVALID)
def test_the_same_files_are_refused(tab: Page, name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=name):
        motion_file.read(save(tmp_path, name, INVALID[name]))
    found = read_by_player(tab, name, INVALID[name])
    assert isinstance(found, str), f"the player reads {name}"
    assert found
