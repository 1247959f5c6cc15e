import json
from pathlib import Path

import numpy as np
import pytest

from avatar.base.errors import UserError
from pipeline.capture.calibration.nersemble import read_cameras

K = [[8200.0, 0, 1100], [0, 8200.0, 1604], [0, 0, 1]]  # for 2200 x 3208
POSE = np.diag([1.0, -1, -1, 1]).tolist()


def params(folder: Path, **changes: object) -> Path:
    value = {"intrinsics": K, "world_2_cam": {"7": POSE}} | changes
    (folder / "camera_params.json").write_text(json.dumps(value))
    return folder / "camera_params.json"


def test_the_shared_matrix_is_scaled_to_the_frames(tmp_path: Path) -> None:
    cameras = read_cameras(params(tmp_path), {"7": (550, 802)})
    np.testing.assert_allclose(cameras.Ks[0], [[2050, 0, 275], [0, 2050, 401], [0, 0, 1]])
    np.testing.assert_allclose(cameras.viewmats[0], POSE)
    assert cameras.sizes.tolist() == [[550, 802]]


def test_a_matrix_a_camera_is_taken_as_it_is(tmp_path: Path) -> None:
    cameras = read_cameras(params(tmp_path, intrinsics={"7": K}), {"7": (512, 512)})
    np.testing.assert_allclose(cameras.Ks[0], K)


@pytest.mark.parametrize(
    ("changes", "size", "message"),
    [
        ({"intrinsics": None}, (550, 802), "expected 'world_2_cam' and 'intrinsics'"),
        ({"world_2_cam": {}}, (550, 802), "lacks camera '7'"),
        ({"intrinsics": {"8": K}}, (550, 802), "lacks camera '7'"),
        ({}, (802, 802), "a whole fraction of it"),
        ({"intrinsics": "x"}, (550, 802), "K is not numbers"),
        ({"intrinsics": [[10**400] * 3] * 3}, (550, 802), "K is not numbers"),
        ({"intrinsics": [[8200.0, 99, 1100], *K[1:]]}, (550, 802), "K has a skew of 24.75 pixels"),
    ],
)
def test_what_is_no_calibration_is_refused(
    tmp_path: Path, changes: dict, size: tuple[int, int], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        read_cameras(params(tmp_path, **changes), {"7": size})
