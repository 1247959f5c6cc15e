from typing import Any

import cv2
import numpy as np
import pytest

from avatar.base.errors import UserError
from avatar.data.cameras import Cameras
from pipeline.capture import lens
from tests.media_files import camera


def with_terms(terms: list[float], focal: float = 60.0) -> Cameras:
    K = [[focal, 0, 32.0], [0, focal, 24.0], [0, 0, 1]]
    entry = camera(K=K, distortion=terms)
    return Cameras.from_json({"version": 1, "units": "m", "cameras": {"7": entry}}, "cameras.json")


@pytest.mark.fault("H4")
@pytest.mark.parametrize(
    ("entry", "named"),
    [
        ({"camera_model": "OPENCV_FISHEYE"}, "camera_model 'OPENCV_FISHEYE'"),
        ({"camera_model": "EQUIRECTANGULAR"}, "camera_model 'EQUIRECTANGULAR'"),
        ({"camera_model": "FULL_OPENCV"}, "camera_model 'FULL_OPENCV'"),
        ({"camera_model": 7}, "camera_model 7"),
        ({"distortion_model": "equidistant"}, "distortion_model 'equidistant'"),
        ({"projection": "spherical"}, "projection 'spherical'"),
        ({"is_fisheye": True}, "is_fisheye True"),
        ({"fisheye": 1}, "fisheye 1"),
        ({"equirectangular": True}, "equirectangular True"),
        ({"latlong": True}, "latlong True"),
        ({"model": "fisheye"}, "model 'fisheye'"),
        ({"k4": 0.01}, "lens term k4 = 0.01"),
        ({"k6": "0.01"}, "lens term k6 = '0.01'"),
        ({"p3": 0.01}, "lens term p3"),
        ({"s1": 0.01}, "lens term s1"),
        ({"tau_x": 0.01}, "lens term tau_x"),
        ({"b2": 1.0}, "lens term b2"),
        ({"skew": 1.0}, "lens term skew"),
        ({"ftheta_p0": 1.0}, "ftheta_p0 1.0"),
        ({"distortion_params": [0.1, 0, 0, 0, 0, 0]}, "lens term distortion_params"),
        ({"distortion": {"k1": 0.1}}, "lens term distortion"),
        ({"dist_coeffs": [[0.1]]}, "lens term dist_coeffs"),
    ],
)
def test_a_lens_beyond_ours_is_refused_by_name(entry: dict[str, Any], named: str) -> None:
    with pytest.raises(UserError, match=f"x.json: {named}.* is not supported"):
        lens.check_model(entry, "x.json")


@pytest.mark.fault("H4")
def test_supported_lenses_and_other_keys_pass() -> None:
    terms = dict.fromkeys(lens.TERMS, 0.1) | {"k4": 0.0, "skew": 0, "p3": None}
    terms |= {"distortion_params": [0.0, [0]]}
    for model in ("OPENCV", "pinhole", "Brown-Conrady", None):
        entry = {"camera_model": model, "is_fisheye": False, "model": "X100", "aabb_scale": 16}
        lens.check_model(entry | terms | {"file_path": "fisheye/0.png", "w": 640}, "x.json")


def test_the_model_is_that_of_opencv() -> None:
    terms = np.array([-0.25, 0.08, 0.001, -0.002, 0.01])
    x, y = np.array([0.3, -0.2, 0.0]), np.array([0.1, 0.25, -0.4])
    rays = np.stack([x, y, np.ones(3)], 1)
    expected, _ = cv2.projectPoints(rays, np.zeros(3), np.zeros(3), np.eye(3), terms)
    np.testing.assert_allclose(np.stack(lens._distorted(x, y, terms), 1), expected[:, 0])


def test_the_determinant_is_that_of_finite_differences() -> None:
    terms = np.array([-0.25, 0.08, 0.01, -0.02, 0.01])
    x, y, step = np.array([0.3, -0.2, 0.7]), np.array([0.1, 0.25, -0.4]), 1e-6
    (xx, yx), (xy, yy) = (
        (np.array(lens._distorted(x + a, y + b, terms)) - lens._distorted(x - a, y - b, terms))
        / (2 * step)
        for a, b in ((step, 0), (0, step))
    )
    np.testing.assert_allclose(lens._determinant(x, y, terms), xx * yy - xy * yx, rtol=1e-6)


def test_a_radial_term_folds_where_its_slope_ends() -> None:
    """r - r^3 rises until r = 0.577; the frame of 64 x 48 at focal length 60 reaches 0.667."""
    folded, _ = lens._lost(
        with_terms([0.0] * 5).Ks[0], np.array([-1.0, 0, 0, 0, 0]), np.array([64, 48])
    )
    centres = np.stack(
        np.meshgrid((np.arange(64) + 0.5) - 32, ((np.arange(64) + 0.5) * 48 / 64) - 24), -1
    )
    np.testing.assert_array_equal(folded, np.sqrt(1 / 3) <= np.hypot(*(centres / 60).T).T)


@pytest.mark.fault("M16")
def test_distortion_that_leaves_no_picture_is_refused() -> None:
    for terms in ([1e6, 0, 0, 0, 0], [0, 0, 1e6, 0, 0], [0, 0, 0, 0, 1e300], [30, 0, 0, 0, 0]):
        with pytest.raises(UserError, match=r"c: camera '7': distortion .* (leaves|folds)"):
            lens.check_distortion(with_terms(terms), 0, "c")
    with pytest.raises(UserError, match=r"folds over in \d+% of the frame"):
        lens.check_distortion(with_terms([-1.5, 0, 0, 0, 0]), 0, "c")


@pytest.mark.fault("M16")
def test_distortion_that_costs_a_part_is_warned_of() -> None:
    assert lens.check_distortion(with_terms([0.0] * 5), 0, "c") is None
    assert lens.check_distortion(with_terms([-0.25, 0.08, 0.001, -0.002, 0]), 0, "c") is None
    warning = lens.check_distortion(with_terms([0.5, 0, 0, 0, 0]), 0, "c")
    assert warning is not None
    assert "without a picture" in warning
    # r - 3 r^3 + 3 r^5 falls from r = 0.38 to 0.67 only, but shows the same places twice.
    with pytest.raises(UserError, match="folds over"):
        lens.check_distortion(with_terms([-3, 3, 0, 0, 0], 30), 0, "c")
