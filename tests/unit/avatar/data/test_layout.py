import numpy as np
import pytest

from avatar.data.layout import attributes_crc32, check_tables
from tests.unit.avatar.data.stores import tables


def arrays(**changes: np.ndarray) -> dict[str, np.ndarray]:
    """Those of the small store, some of them others."""
    whole = tables()
    return {
        "cameras/id": np.array(whole.camera_ids), "cameras/size": whole.sizes,
        "timesteps/sequence": whole.sequence, "timesteps/index": whole.index,
        "timesteps/time": whole.time, "frames/camera": whole.camera,
        "frames/timestep": whole.timestep,
    } | changes  # fmt: skip


def test_whole_tables_pass() -> None:
    check_tables(arrays())


@pytest.mark.fault("H13")
@pytest.mark.parametrize(
    "name",
    ["../up", "/etc", "a/b", "..", ".", "", "a\0b", "a\nb", "\x1b[31m", "-a", "a b", "ä", "a" * 65],
)
def test_names_that_lead_elsewhere_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"sequence name .* is not allowed"):
        check_tables(arrays(**{"timesteps/sequence": np.array(["calm", "calm", name])}))
    with pytest.raises(ValueError, match=r"camera name .* is not allowed"):
        check_tables(arrays(**{"cameras/id": np.array(["a", name])}))


@pytest.mark.fault("M14")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cameras/id": np.array(["a", "a"])}, "two cameras have one name"),
        ({"cameras/size": np.array([[20, 16], [0, 16]])}, "width and height"),
        ({"cameras/size": np.array([[20, 16], [-20, -16]])}, "width and height"),
        ({"cameras/size": np.array([[20, 16], [2**40, 2**40]])}, "width and height"),
        (
            {"cameras/size": np.array([20, 16])},
            r"/cameras/size has shape \(2,\), expected \(2, 2\)",
        ),
        ({"cameras/size": np.array([[20.0, 16], [20, 16]])}, "/cameras/size is float64"),
        ({"timesteps/time": np.array([0.0, np.nan, 0.0])}, "/timesteps/time holds NaN"),
        ({"timesteps/index": np.array([0, -1, 0])}, "/timesteps/index is below 0"),
        ({"timesteps/index": np.array([0, 0, 0])}, "a frame is there twice"),
        ({"timesteps/index": np.array([0, 1, 0, 1])}, "/timesteps/index has shape"),
        ({"frames/camera": np.array([0, 0, 1, 2, 0])}, r"/frames/camera is not all in 0\.\.1"),
        ({"frames/camera": np.array([0, 0, -1, 1, 0])}, "/frames/camera is not all in"),
        ({"frames/timestep": np.array([0, 1, 0, 3, 2])}, r"/frames/timestep is not all in 0\.\.2"),
        ({"frames/timestep": np.array([0, 0, 0, 1, 2])}, "a frame is there twice"),
        ({"frames/timestep": np.array([0, 1, 0, 1])}, "/frames/timestep has shape"),
    ],
)
def test_tables_that_contradict_themselves_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_tables(arrays(**changes))


@pytest.mark.fault("M14")
def test_a_table_of_many_empty_cells_is_refused() -> None:
    """A row for each pair of camera and timestep: 10^5 x 10^4 of them would take 8 GB."""
    cameras, steps, one = 10_000, 100_000, np.zeros(1, np.int64)
    wide = {
        "cameras/id": np.arange(cameras).astype(str), "cameras/size": np.full((cameras, 2), 8),
        "timesteps/sequence": np.full(steps, "a"), "timesteps/index": np.arange(steps),
        "timesteps/time": np.arange(steps) / 25, "frames/camera": one, "frames/timestep": one,
    }  # fmt: skip
    with pytest.raises(ValueError, match="10000 cameras x 100000 timesteps are more than"):
        check_tables(wide)


def test_the_attributes_sum_covers_names_and_values_in_any_order() -> None:
    one = attributes_crc32({"a": 1, "b": b"x"})
    assert one == attributes_crc32({"b": b"x", "a": 1, "attributes_crc32": 7})
    for other in ({"a": 2, "b": b"x"}, {"a": 1, "c": b"x"}, {"a": 1}):
        assert attributes_crc32(other) != one
