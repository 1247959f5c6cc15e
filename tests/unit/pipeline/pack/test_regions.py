import numpy as np

from avatar.data.cameras import Cameras
from avatar.data.layout import BACKGROUND, HEAD, TORSO
from pipeline.pack.regions import RegionMaps, spread
from tests.rigs import toy_rig
from tests.scenes import moving_params


def test_a_pixel_takes_the_nearest_region() -> None:
    regions = np.zeros((5, 9), np.uint8)
    regions[0, 0], regions[4, 8] = HEAD, TORSO
    filled = spread(regions)
    assert (filled[:, :4] == HEAD).all()
    assert (filled[:, 5:] == TORSO).all()
    assert filled[0, 4] == HEAD
    assert filled[4, 4] == TORSO


def test_alpha_bounds_the_map_and_the_mesh_fills_it() -> None:
    """A frame of 600 pixels is drawn smaller; the map is as large as the frame."""
    rig = toy_rig()
    viewmat = np.diag([1.0, -1, -1, 1])
    viewmat[2, 3] = 0.5
    K = np.array([[900.0, 0, 300], [0, 900, 240], [0, 0, 1]])
    cameras = Cameras(
        ["0"], K[None], viewmat[None], np.array([[600, 480]]), np.zeros((1, 5)), np.zeros(1)
    )
    maps = RegionMaps(rig, moving_params(rig, 3), cameras)
    alpha = np.zeros((480, 600), np.uint8)
    alpha[100:400, 150:450] = 200
    region = maps(2, 0, alpha)
    assert region.shape == alpha.shape
    assert (region[alpha == 0] == BACKGROUND).all()
    assert (region[alpha > 0] > BACKGROUND).all()
    assert (region == HEAD).any()


def test_a_head_out_of_the_picture_leaves_a_torso() -> None:
    rig = toy_rig()
    viewmat = np.diag([1.0, -1, -1, 1])
    viewmat[:3, 3] = (9, 0, 0.5)
    K = np.array([[60.0, 0, 30], [0, 60, 30], [0, 0, 1]])
    cameras = Cameras(
        ["0"], K[None], viewmat[None], np.array([[60, 60]]), np.zeros((1, 5)), np.zeros(1)
    )
    maps = RegionMaps(rig, moving_params(rig, 1), cameras)
    region = maps(0, 0, np.full((60, 60), 9, np.uint8))
    assert (region == TORSO).all()
