import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from avatar.data import bounded
from avatar.data.hdf5 import open_reading

CHECKED = {"compression": "gzip", "shuffle": True, "fletcher32": True}
Build = Callable[[h5py.File, Path], object]


def read(path: Path) -> np.ndarray:
    with open_reading(path) as file:
        return bounded.read(file, "g", "x")


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.array([True, False]),
        np.random.default_rng(0).integers(0, 2**32, 200_000, np.uint32),  # does not compress
        np.zeros((3, 1000), np.int16),
    ],
)
def test_a_checked_array_is_read(array: np.ndarray, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("g/x", data=array, **CHECKED)
    np.testing.assert_array_equal(read(tmp_path / "a.h5"), array, strict=True)


def test_text_becomes_str(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("g/x", data=np.array([b"ab", b"c"]), **CHECKED)
    assert read(tmp_path / "a.h5").tolist() == ["ab", "c"]


def external_link(file: h5py.File, path: Path) -> None:
    other(path)
    file["g/x"] = h5py.ExternalLink(str(path.with_name("other.h5")), "/g/x")


def other(path: Path) -> None:
    """A file beside, whose bytes are nobody's business."""
    with h5py.File(path.with_name("other.h5"), "w") as file:
        file.create_dataset("g/x", data=np.arange(3.0), **CHECKED)


def external_group(file: h5py.File, path: Path) -> None:
    other(path)
    file["g"] = h5py.ExternalLink(str(path.with_name("other.h5")), "/g")


def soft_link(file: h5py.File, path: Path) -> None:
    file.create_dataset("elsewhere/x", data=np.arange(3.0), **CHECKED)
    file["g/x"] = h5py.SoftLink("/elsewhere/x")


def external_storage(file: h5py.File, path: Path) -> None:
    path.with_name("raw").write_bytes(bytes(64))
    file.create_dataset("g/x", (8,), "f8", external=[(str(path.with_name("raw")), 0, 64)])


def virtual(file: h5py.File, path: Path) -> None:
    other(path)
    layout = h5py.VirtualLayout((3,), "f8")
    layout[:] = h5py.VirtualSource(str(path.with_name("other.h5")), "g/x", (3,))
    file.create_virtual_dataset("g/x", layout)


def group_instead(file: h5py.File, path: Path) -> None:
    file.create_group("g/x")


def unchecked(file: h5py.File, path: Path) -> None:
    file.create_dataset("g/x", data=np.arange(3.0), compression="gzip")


def contiguous(file: h5py.File, path: Path) -> None:
    file.create_dataset("g/x", data=np.arange(3.0))


def other_filter(file: h5py.File, path: Path) -> None:
    file.create_dataset("g/x", data=np.arange(3.0), compression="lzf", fletcher32=True)


def without_its_data(file: h5py.File, path: Path) -> None:
    """HDF5 fills in zeros for what was never written."""
    file.create_dataset("g/x", (1 << 20,), "f8", chunks=(1 << 17,), **CHECKED)


def too_large(file: h5py.File, path: Path) -> None:
    file.create_dataset("g/x", (1 << 40,), "f8", chunks=(1 << 17,), **CHECKED)


def huge_chunk(file: h5py.File, path: Path) -> None:
    file.create_dataset("g/x", (1 << 24,), "f8", chunks=(1 << 24,), **CHECKED)


def many_chunks(file: h5py.File, path: Path) -> None:
    file.create_dataset("g/x", (1 << 20,), "f8", chunks=(1,), **CHECKED)


def bomb(file: h5py.File, path: Path) -> None:
    """A chunk of eight numbers whose packed bytes are 64 MiB of zeros."""
    dataset = file.create_dataset("g/x", (8,), "f8", chunks=(8,), **CHECKED)
    dataset.id.write_direct_chunk((0,), zlib.compress(bytes(1 << 26)) + bytes(4))


def small_bomb(file: h5py.File, path: Path) -> None:
    """The packed bytes are no more than those of the array, and unpack to 50 times as many."""
    dataset = file.create_dataset("g/x", (1000,), "f8", chunks=(1000,), **CHECKED)
    dataset.id.write_direct_chunk((0,), zlib.compress(bytes(400_000)) + bytes(4))


def skipped_checksum(file: h5py.File, path: Path) -> None:
    """The mask of a chunk says that its filters were not applied."""
    dataset = file.create_dataset("g/x", (8,), "f8", chunks=(8,), **CHECKED)
    dataset.id.write_direct_chunk((0,), bytes(64), filter_mask=7)


def objects(file: h5py.File, path: Path) -> None:
    file.create_dataset("g/x", data=["a", "b"], dtype=h5py.string_dtype(), chunks=(2,))


def records(file: h5py.File, path: Path) -> None:
    file.create_dataset("g/x", data=np.zeros(3, [("a", "f8")]), **CHECKED)


def no_ascii(file: h5py.File, path: Path) -> None:
    file.create_dataset("g/x", data=np.array(["ä".encode()]), **CHECKED)


@pytest.mark.fault("M14")
@pytest.mark.parametrize(
    ("build", "message"),
    [
        (external_link, "link"), (external_group, "link"), (soft_link, "link"),
        (external_storage, "another way or place"), (virtual, "another way or place"),
        (contiguous, "another way or place"), (group_instead, "no dataset"),
        (unchecked, "no checksums"), (other_filter, "packed in another way"),
        (without_its_data, "a part of it is missing"), (too_large, "more than is read"),
        (huge_chunk, "more than is read"), (many_chunks, "more than is read"),
        (bomb, "more packed than unpacked"), (small_bomb, "does not match its checksum"),
        (skipped_checksum, "no checksum"), (objects, "no checksums"),
        (records, "not plain numbers"), (no_ascii, "ascii"),
    ],
)  # fmt: skip
def test_an_array_made_with_intent_is_refused_in_little_memory(
    build: Build, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        build(file, path)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=message):
            read(path)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_what_is_not_there_is_absent(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_group("g")
    with open_reading(tmp_path / "a.h5") as file:
        assert bounded.names(file, "other") == bounded.names(file, "g") == []
        for group, name in (("g", "x"), ("other", "x")):
            with pytest.raises(bounded.Absent):
                bounded.read(file, group, name)


@pytest.mark.fault("M14")
def test_a_group_of_many_entries_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for number in range(300):
            file.create_group(f"g/{number}")
    with (
        open_reading(tmp_path / "a.h5") as file,
        pytest.raises(ValueError, match="300 entries"),
    ):
        bounded.names(file, "g")


@pytest.mark.fault("L8")
@pytest.mark.parametrize(
    "value",
    [
        "variable length",
        np.zeros(2, np.int64),
        1.5,
        np.array(b"a", h5py.string_dtype("utf-8", 1)),
        h5py.Empty("S1"),
    ],
)
def test_an_attribute_of_another_kind_is_refused(value: object, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["whole"] = np.bytes_(b"text")
        file.attrs["number"] = 3
    with open_reading(tmp_path / "a.h5") as file:
        assert bounded.attributes(file) == {"whole": b"text", "number": 3}
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file.attrs["odd"] = value
    with (
        open_reading(tmp_path / "a.h5") as file,
        pytest.raises(ValueError, match="'odd' is"),
    ):
        bounded.attributes(file)
