"""The camera of a file is the first one, resized; others look at the face."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from avatar.base.errors import UserError
from pipeline.drive import cameras
from tests.rigs import toy_rig
from tests.scenes import moving_params, ring_of_cameras

RIG = toy_rig()
OWN = moving_params(RIG, 6)


def look(camera: str, size: tuple[int, int] | None = None) -> cameras.Views:
    return cameras.look(camera, size, RIG, OWN, OWN)


def test_the_front_is_the_same_at_every_timestep_and_the_orbit_is_not() -> None:
    front, orbit = look("front", (64, 48)), look("orbit")
    assert front.viewmats.shape == (6, 1, 4, 4)
    assert (front.width, front.height, orbit.width) == (64, 48, 512)
    assert torch.equal(front.viewmats[0], front.viewmats[5])
    assert not torch.equal(orbit.viewmats[0], orbit.viewmats[3])


def test_the_camera_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "cameras.json"
    given = ring_of_cameras(2)
    given.save(path)
    stored, large = look(str(path)), look(str(path), (96, 96))
    assert (stored.width, large.height) == (48, 96)
    np.testing.assert_allclose(stored.Ks[3, 0], given.Ks[0], rtol=1e-6)
    np.testing.assert_allclose(stored.viewmats[3, 0], given.viewmats[0], atol=1e-6)
    np.testing.assert_allclose(large.Ks[0, 0, :2], 2 * given.Ks[0, :2], rtol=1e-6)


def test_cameras_that_cannot_be_rendered(tmp_path: Path) -> None:
    path = tmp_path / "cameras.json"
    given = ring_of_cameras(1)
    given.save(path)
    with pytest.raises(UserError, match="give a size of that shape"):
        look(str(path), (96, 64))
    replace(given, distortion=np.full((1, 5), 0.01)).save(path)
    with pytest.raises(UserError, match="lens distortion"):
        look(str(path))
    with pytest.raises(UserError, match=r"expected front, orbit or a cameras.json"):
        look("back")
    with pytest.raises(UserError, match=r"no\.json"):
        look(str(tmp_path / "no.json"))
