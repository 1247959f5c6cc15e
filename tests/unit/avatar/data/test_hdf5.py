import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from avatar.base.errors import Busy, UserError
from avatar.data import hdf5
from avatar.data.hdf5 import Sink
from avatar.data.layout import IMAGE
from avatar.data.verify import verify
from avatar.data.writer import create
from tests.disks import file_size_limit, read_only, small_disk
from tests.subject import tables
from tests.unit.avatar.data.stores import write_store

# Writes a store in a process of its own: HDF5 would crash when that ends.
CODE = """
import sys
from pathlib import Path
from avatar.data.layout import IMAGE
from avatar.data.writer import create
with create(Path(sys.argv[1])) as writer:
    for row in range(50):
        writer.append(IMAGE, bytes([row]) * 100_000)
"""
ROOT = Path(__file__).parents[4]


def test_a_sink_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    sink = Sink(tmp_path / "a")
    assert sink.write(memoryview(b"0123456789")) == 10
    sink.seek(2)
    sink.write(memoryview(b"ab"))
    assert sink.seek(-4, os.SEEK_END) == 6
    buffer = bytearray(8)
    assert sink.readinto(memoryview(buffer)) == 4
    assert bytes(buffer) == b"6789\0\0\0\0"
    sink.truncate(3)
    sink.check()
    sink.close()
    assert (tmp_path / "a").read_bytes() == b"01a"


@pytest.mark.fault("H2")
def test_a_sink_reads_what_the_disk_did_not_take(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    sink = Sink(tmp_path / "a")
    with file_size_limit(6):
        for place, data in ((0, b"0123"), (4, b"4567"), (9, b"9"), (2, b"xyz")):
            sink.seek(place)
            assert sink.write(memoryview(data)) == len(data)
        buffer = bytearray(16)
        sink.seek(1)
        count = sink.readinto(memoryview(buffer))
        assert bytes(buffer[:count]) == b"1xyz567\x009"
        assert sink.seek(0, os.SEEK_END) == 10
        sink.seek(3)
        assert sink.readinto(memoryview(bytearray(2))) == 2
    with pytest.raises(OSError, match="File too large"):
        sink.check()
    sink.close()


@pytest.mark.fault("H2")
@pytest.mark.parametrize("callback", ["seek", "write", "truncate"])
def test_an_interruption_inside_hdf5_is_raised_once_the_file_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, callback: str
) -> None:
    """The signal's handler runs in the sink's method, as Python lets it at any time."""
    place = {"seek": "fstat", "write": "pwrite", "truncate": "ftruncate"}[callback]
    real, sent = getattr(os, place), []

    def interrupted(*arguments: object) -> object:
        if not sent:
            sent.append(1)
            signal.raise_signal(signal.SIGINT)
        return real(*arguments)

    outside = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a shell's `&`
    monkeypatch.setattr(hdf5.os, place, interrupted)
    try:
        with pytest.raises(KeyboardInterrupt):
            _write(tmp_path / "a.h5", rows=1)
        assert sent
        assert not list(tmp_path.iterdir())
        assert signal.getsignal(signal.SIGINT) == signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, outside)


@pytest.mark.fault("H2")
def test_a_full_disk_is_one_line_with_needed_and_free(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        (disk / "frames.h5").write_text("old")
        with pytest.raises(UserError, match="No space left on device") as caught:
            _write(disk / "frames.h5", rows=50)
        assert "it needs about 4.8 MiB, 1.5 MiB are free: make room" in str(caught.value)
        assert [path.name for path in disk.iterdir()] == ["frames.h5"]
        assert (disk / "frames.h5").read_text() == "old"


def _write(path: Path, rows: int) -> None:
    with create(path, rows) as writer:
        for row in range(rows):
            writer.append(IMAGE, bytes([row]) * 100_000)
        writer.write_tables(tables({"main": rows}, 1))


@pytest.mark.fault("H2")
@pytest.mark.parametrize("limit", [0, 600, 5000, 70_000, 140_000, 1_000_000])
def test_a_limit_at_any_place_leaves_nothing(tmp_path: Path, limit: int) -> None:
    with file_size_limit(limit), pytest.raises(UserError, match="raise ulimit -f"):
        _write(tmp_path / "a.h5", rows=12)
    assert not list(tmp_path.iterdir())
    _write(tmp_path / "a.h5", rows=12)
    verify(tmp_path / "a.h5")


@pytest.mark.fault("H2")
def test_the_process_ends_well_after_a_full_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 300) as disk:
        done = subprocess.run(
            [sys.executable, "-c", CODE, str(disk / "a.h5")],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 1
        assert done.stderr.strip().splitlines()[-1].startswith("avatar.base.errors.UserError: ")
        assert not list(disk.iterdir())


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "frames.h5"
    write_store(path)
    return path


@pytest.mark.fault("H8")
def test_a_file_that_another_program_changes_is_in_use(store: Path) -> None:
    code = "import h5py, sys; f = h5py.File(sys.argv[1], 'r+'); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(store)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout
        other.stdout.readline()
        with pytest.raises(Busy, match="is in use by another process") as busy:
            hdf5.open_reading(store)
        other.communicate(b"\n")
    assert busy.value.exit_code == 75
    with h5py.File(store, "r"), hdf5.open_reading(store) as file:
        assert "frames" in file


@pytest.mark.fault("H8")
@pytest.mark.parametrize(
    "number", [errno.EAGAIN, errno.EACCES, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP]
)
def test_what_hdf5_says_of_locks(store: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    real = h5py.File

    def opened(path: Path, mode: str, **options: object) -> h5py.File:
        if options.get("locking", True):
            raise OSError(f"Unable to synchronously open file (unable to lock, errno = {number})")
        return real(path, mode, **options)

    monkeypatch.setattr(h5py, "File", opened)
    if number in (errno.EAGAIN, errno.EACCES):
        with pytest.raises(Busy):
            hdf5.open_reading(store)
    else:
        with hdf5.open_reading(store) as file:
            assert np.asarray(file["frames/camera"]).tolist() == [0, 0, 1, 1, 0]


@pytest.mark.fault("H8")
def test_a_file_that_was_left_open_is_told_from_a_damaged_one(store: Path, tmp_path: Path) -> None:
    code = (
        "import h5py, os, sys; f = h5py.File(sys.argv[1], 'r+', libver='v110');"
        "f.attrs['a'] = 1; f.flush(); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, str(store)], check=True)
    with pytest.raises(UserError, match="left open by a program") as caught:
        hdf5.open_reading(store)
    assert caught.value.exit_code == 2
    (tmp_path / "text.h5").write_text("no HDF5 file")
    with pytest.raises(UserError, match="is damaged or no HDF5 file"):
        hdf5.open_reading(tmp_path / "text.h5")


@pytest.mark.fault("L7")
def test_no_pipe_is_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.h5")
    with pytest.raises(OSError, match="it is not a plain file"):
        hdf5.open_reading(tmp_path / "a.h5")


def test_a_read_only_disk_is_read(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 4000) as disk:
        write_store(disk / "a.h5")
        with read_only(disk):
            verify(disk / "a.h5")
