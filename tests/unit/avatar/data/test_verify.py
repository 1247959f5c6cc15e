from pathlib import Path

import h5py
import numpy as np
import pytest

from avatar.base.errors import UserError
from avatar.data.dataset import Dataset
from avatar.data.frames import FrameFeed, FrameOrder
from avatar.data.layout import ALPHA, IMAGE
from avatar.data.verify import verify
from tests.unit.avatar.data import stores
from tests.unit.avatar.data.stores import extents, flip


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    return stores.packed(tmp_path)


TRIALS = 200


def test_one_flipped_bit_in_any_dataset_is_found(packed: Path) -> None:
    """200 random bits, every dataset of dataset.h5 in turn."""
    whole = packed.read_bytes()
    random = np.random.default_rng(0)
    places = list(extents(packed).items())
    assert len(places) >= 28
    for trial in range(TRIALS):
        name, chunks = places[trial % len(places)]
        start, size = chunks[random.integers(len(chunks))]
        flip(packed, start + int(random.integers(size)), int(random.integers(8)))
        with pytest.raises(UserError, match=name if "blobs" not in name else "of frame"):
            verify(packed)
        packed.write_bytes(whole)
    verify(packed)


def test_a_flipped_bit_anywhere_is_found_or_harmless(packed: Path) -> None:
    """Structure and unused bytes too: whatever verify lets pass reads as it was written."""
    whole = packed.read_bytes()
    random = np.random.default_rng(1)
    with Dataset(packed) as data:
        expected = [data.image(row) for row in range(len(data))]
        split, expr = data.split, data.params.expr
    found = 0
    for _ in range(60):
        flip(packed, int(random.integers(len(whole))), int(random.integers(8)))
        try:
            verify(packed)
        except UserError:
            found += 1
        else:
            with Dataset(packed) as data:
                np.testing.assert_array_equal([data.image(r) for r in range(len(data))], expected)
                np.testing.assert_array_equal(data.split, split)
                np.testing.assert_array_equal(data.params.expr, expr)
        packed.write_bytes(whole)
    assert found >= 3  # most of so small a file is unused room


def test_no_damaged_frame_reaches_training(packed: Path) -> None:
    """Opening or reading fails for a flip in whatever a frame consists of."""
    whole = packed.read_bytes()
    random = np.random.default_rng(2)
    for channel in (IMAGE, ALPHA):
        for name in (f"blobs/{channel}", f"frames/{channel}_crc32", f"frames/{channel}_offset"):
            for _ in range(5):
                start, size = extents(packed)[name][0]
                flip(packed, start + int(random.integers(size)), int(random.integers(8)))
                with pytest.raises(UserError, match="checksum"):
                    _feed_all(packed)
                packed.write_bytes(whole)


def _feed_all(path: Path) -> None:
    """Every frame once, as training gets them."""
    with Dataset(path) as data:
        order = FrameOrder(data, np.arange(len(data)), 1, 1, seed=0)
        feed = FrameFeed(data, order, budget_mib=100)
        for step in range(order.steps_per_epoch):
            feed.at(step, np.zeros((1, 1, 3), np.float32))


@pytest.mark.fault("L8")
@pytest.mark.parametrize(
    ("name", "message"),
    [("extra", "/extra is not of this layout"), ("rig/group", "it is no dataset")],
)
def test_an_entry_that_is_not_of_the_layout_is_named(packed: Path, name: str, message: str) -> None:
    with h5py.File(packed, "a") as file:
        file.create_group(name)
    with pytest.raises(UserError, match=message):
        verify(packed)


@pytest.mark.fault("L8")
def test_attributes_of_an_array_are_not_of_the_layout(packed: Path) -> None:
    with h5py.File(packed, "a") as file:
        file["rig/expr"].attrs["note"] = 1
    with pytest.raises(UserError, match="/rig/expr has attributes"):
        verify(packed)


@pytest.mark.fault("L8")
def test_the_index_of_a_groups_entries_is_read_too(packed: Path) -> None:
    """One bit of the free space of a group's names, which only a visit of all entries meets."""
    place = packed.read_bytes().index(b"FSHD") + 20
    flip(packed, place, 4)
    with pytest.raises(UserError, match="does not match its checksum"):
        verify(packed)


@pytest.mark.fault("L8")
@pytest.mark.parametrize("bit", range(8))
def test_the_kind_of_a_long_attribute_is_checked(tmp_path: Path, bit: int) -> None:
    """The format has no checksum over these bytes: the value reads the same after a change."""
    path = stores.write_store(tmp_path / "store.h5")
    kind = path.read_bytes().index("grüße".encode()) - 12  # class, padding, character set, size
    for place in (kind, kind + 1, kind - 6):
        flip(path, place, bit)
        with pytest.raises(UserError, match="attributes are damaged"):
            verify(path)
        flip(path, place, bit)
    verify(path)
