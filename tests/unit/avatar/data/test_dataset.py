from pathlib import Path

import numpy as np
import pytest

from avatar.base.errors import UserError
from avatar.data import jpeg, png
from avatar.data.dataset import Dataset
from avatar.data.layout import ALPHA, IMAGE
from avatar.data.writer import create
from tests.unit.avatar.data import stores
from tests.unit.avatar.data.stores import images, tables, write_store


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    return stores.packed(tmp_path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_store(tmp_path / "store.h5")


def test_a_part_of_a_frame_keeps_its_camera(packed: Path) -> None:
    """A point of the world falls on the same spot of the cropped, enlarged picture."""
    with Dataset(packed) as data:
        whole = data.frame(1, 1)
        part = data.frame(1, 1, window=(2, 3, 8, 4), scale=2.5)
        np.testing.assert_array_equal(whole.image, data.image(data.row(1, 1)))
        np.testing.assert_array_equal(whole.alpha, data.alpha(data.row(1, 1)))
        np.testing.assert_array_equal(data.frame(1, 1, (2, 3, 8, 4)).image, whole.image[3:7, 2:10])
        assert part.image.shape == (10, 20, 3)
        assert part.alpha.shape == (10, 20)
        point = np.array([0.02, -0.03, 0.9])
        (x, y, z), (u, v, w) = whole.K @ point, part.K @ point
        np.testing.assert_allclose([u / w, v / w], [(x / z - 2) * 2.5, (y / z - 3) * 2.5])
        np.testing.assert_array_equal(part.viewmat, data.cameras.viewmats[1])
        for window in ((0, 0, 13, 8), (-1, 0, 4, 4), (0, 0, 0, 4)):
            with pytest.raises(UserError, match="expected a part of it"):
                data.frame(0, 0, window)


def test_a_frame_that_is_not_there_is_named(path: Path) -> None:
    with create(path.parent / "d.h5") as writer:
        for image in images(5):
            writer.append(IMAGE, jpeg.encode(image))
            writer.append(ALPHA, png.encode(image[..., 0]))
        writer.write_tables(tables())
        writer.write_arrays("frames", {"split": np.zeros(5, np.uint8)})
        writer.write_arrays("timesteps", {"valid": np.ones(3, bool)})
    with (
        Dataset(path.parent / "d.h5") as data,
        pytest.raises(UserError, match="camera b has no frame at timestep 2"),
    ):
        data.frame(2, 1)
