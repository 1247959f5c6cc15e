import gc
import io
import os
import pickle
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from avatar.base import npz
from avatar.base.errors import UserError
from tests.disks import small_disk

REMEDY = "make it again"


def header(shape: tuple[int, ...], descr: str = "<f4", version: bytes = b"\1\0") -> bytes:
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape!r}, }}\n".encode()
    length = len(text).to_bytes(2 if version[0] == 1 else 4, "little")
    return b"\x93NUMPY" + version + length + text


def archive(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, data in members.items():
            file.writestr(f"{name}.npy", data)
    return path


def saved(value: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, value)
    return stream.getvalue()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_come_back_as_numpy_reads_them(save: Callable[..., None], tmp_path: Path) -> None:
    arrays = {
        "f": np.arange(6, dtype=np.float64).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6, dtype=np.int32).reshape(2, 3)),
        "flag": np.array([True, False]),
        "text": np.array(["ä", "bc"]),
        "scalar": np.array("anny"),
        "empty": np.zeros((0, 3), np.float32),
        "big": np.arange(3_000_000, dtype=np.int16),
    }
    save(tmp_path / "a.npz", **arrays)
    read = npz.read(tmp_path / "a.npz", [*arrays, "absent"], REMEDY)
    assert npz.names_in(tmp_path / "a.npz", REMEDY) == list(arrays) == list(read)
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array, strict=True)
        assert read[name].flags.writeable


def huge(path: Path) -> Path:
    return archive(path, {"x": header((10**12,)) + bytes(16)})


def overflowing(path: Path) -> Path:
    return archive(path, {"x": header((2**40, 2**40)) + bytes(16)})


def negative(path: Path) -> Path:
    return archive(path, {"x": header((-1,)) + bytes(16)})


def more_than_it_has(path: Path) -> Path:
    return archive(path, {"x": header((1000,)) + bytes(16)})


def longer_than_it_says(path: Path) -> Path:
    return archive(path, {"x": header((2,)) + bytes(16)})


def bomb(path: Path) -> Path:
    """64 MiB of zeros behind an array of two."""
    return archive(path, {"x": header((2,)) + bytes(1 << 26)})


def long_header(path: Path) -> Path:
    text = b" " * (1 << 25)
    size = len(text).to_bytes(4, "little")
    return archive(path, {"x": b"\x93NUMPY\2\0" + size + text})


def nested_header(path: Path) -> Path:
    text = b"(" * 9000
    return archive(path, {"x": b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text})


def objects(path: Path) -> Path:
    return archive(path, {"x": header((1,), "|O") + pickle.dumps([os.getcwd])})


def records(path: Path) -> Path:
    return archive(path, {"x": saved(np.zeros(2, [("a", "f4")]))})


def times(path: Path) -> Path:
    return archive(path, {"x": saved(np.zeros(2, "M8[s]"))})


def lzma(path: Path) -> Path:
    return archive(path, {"x": saved(np.zeros(2))}, zipfile.ZIP_LZMA)


def one_bit(path: Path) -> Path:
    archive(path, {"x": saved(np.zeros(64))}, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[300] ^= 1
    path.write_bytes(data)
    return path


def encrypted(path: Path) -> Path:
    archive(path, {"x": saved(np.zeros(2))})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)
    return path


def many_members(path: Path) -> Path:
    return archive(path, {f"a{k}": b"" for k in range(20_000)}, zipfile.ZIP_STORED)


def no_archive(path: Path) -> Path:
    path.write_bytes(b"nonsense")
    return path


def empty(path: Path) -> Path:
    path.touch()
    return path


def pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def folder(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.mark.fault("M14")
@pytest.mark.parametrize(
    "build",
    [
        huge, overflowing, negative, more_than_it_has, longer_than_it_says, bomb, long_header,
        nested_header, objects, records, times, lzma, one_bit, encrypted, many_members, no_archive,
        empty, pipe, folder,
    ],
)  # fmt: skip
def test_an_archive_made_with_intent_is_refused_in_little_memory(
    build: Callable[[Path], Path], tmp_path: Path
) -> None:
    path = build(tmp_path / "a.npz")
    tracemalloc.start()
    try:
        with pytest.raises(
            UserError, match=r"a\.npz is not an npz file of plain .*: make it again"
        ):
            npz.read(path, ["x"], REMEDY)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.fault("M14")
def test_an_array_that_nobody_asked_for_is_not_read(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.npz", {"big": header((10**12,)), "x": saved(np.arange(3))})
    assert npz.read(path, ["x"], REMEDY)["x"].tolist() == [0, 1, 2]


def test_all_arrays_together_have_a_limit(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=np.zeros(100), b=np.zeros(100))
    assert len(npz.read(tmp_path / "a.npz", "ab", REMEDY, most=1600)) == 2
    with pytest.raises(UserError, match=r"b claims \(100,\) float64, more than is read"):
        npz.read(tmp_path / "a.npz", "ab", REMEDY, most=1599)


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.npz does not exist: make it again"):
        npz.read(tmp_path / "a.npz", ["x"], REMEDY)


def test_what_is_written_is_read_and_the_bytes_are_the_same_every_time(tmp_path: Path) -> None:
    arrays = {"x": np.arange(6.0).reshape(2, 3), "name": np.array("anny")}
    npz.write(tmp_path / "a.npz", arrays)
    npz.write(tmp_path / "b.npz", arrays)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    found = npz.read(tmp_path / "a.npz", ["x", "name"], REMEDY)
    np.testing.assert_array_equal(found["x"], arrays["x"])
    assert found["name"] == "anny"
    with np.load(tmp_path / "a.npz") as loaded:
        assert sorted(loaded) == ["name", "x"]


@pytest.mark.fault("H2")
def test_a_full_disk_is_one_line_and_nothing_is_printed_later(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, 200_000, dtype=np.uint8)
    with small_disk(tmp_path / "disk", 64) as disk:
        with pytest.raises(UserError, match=r"it needs about 195\.\d KiB, 64\.0 KiB are free"):
            npz.write(disk / "a.npz", {"x": noise})
        assert not list(disk.iterdir())
    gc.collect()
    assert capfd.readouterr().err == ""
