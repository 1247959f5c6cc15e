"""Open HDF5 files such that a full disk or another program's lock costs one line, not a crash."""

import errno
import io
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import h5py

from avatar.base import files, system_errors
from avatar.base.errors import Busy, UserError

# From version 1.10 on the format checksums its own metadata.
_VERSION = ("v110", "v110")
_IN_USE = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES})
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP})
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
_CALLBACKS = frozenset({"seek", "tell", "readinto", "write", "truncate"})


class Sink(io.RawIOBase):
    """The file that HDF5 writes to.

    HDF5 cannot close a file that it cannot write, and crashes when the process ends. Here the first
    failure is kept for `check`, and from then on data go to memory: HDF5 closes as if all was well.
    No method called by HDF5 raises: h5py would lose the exception, and the data with it.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = open(path, "r+b", buffering=0)  # noqa: SIM115  (closed in `close`)
        self._place = 0
        self._kept: list[tuple[int, bytes]] = []
        self._failure: BaseException | None = None

    def fail(self, problem: BaseException) -> None:
        """Keep a failure for `check`; the first one counts."""
        self._failure = self._failure or problem

    def check(self) -> None:
        """Raise what the first failed write raised, if one did."""
        if self._failure is not None:
            raise self._failure

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_END:
            ends = [place + len(data) for place, data in self._kept]
            offset += max([os.fstat(self._file.fileno()).st_size, *ends])
        self._place = offset + (self._place if whence == os.SEEK_CUR else 0)
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: Any) -> int:
        found = bytearray(os.pread(self._file.fileno(), len(buffer), self._place))
        for place, data in self._kept:
            start, stop = place - self._place, place - self._place + len(data)
            if start < len(buffer) and stop > 0:
                found += bytes(max(0, min(stop, len(buffer)) - len(found)))
                part = data[max(0, -start) : len(buffer) - start]
                found[max(0, start) : max(0, start) + len(part)] = part
        buffer[: len(found)] = found
        self._place += len(found)
        return len(found)

    def write(self, data: Any) -> int:
        if self._failure is None:
            try:
                self._write(memoryview(data).cast("B"))
            except OSError as problem:
                self.fail(problem)
        if self._failure is not None:
            self._kept.append((self._place, bytes(data)))
        self._place += len(data)
        return len(data)

    def _write(self, data: memoryview) -> None:
        done = 0
        while done < len(data):
            done += os.pwrite(self._file.fileno(), data[done:], self._place + done)

    def truncate(self, size: int | None = None) -> int:
        size = self._place if size is None else size
        if self._failure is None:
            try:
                os.ftruncate(self._file.fileno(), size)
            except OSError as problem:
                self.fail(problem)
        return size

    def close(self) -> None:
        self._file.close()
        super().close()


@contextmanager
def writing(path: str | Path) -> Iterator[tuple[h5py.File, Sink]]:
    """Fill an existing, empty file; yields it and where its bytes go.

    Raises:
        OSError: what a write raised, at the end of the block at the latest.
    """
    sink = Sink(Path(path))
    try:
        with _signals_kept(sink), h5py.File(sink, "w", libver=_VERSION) as file:
            yield file, sink
        sink.check()
    finally:
        sink.close()


@contextmanager
def _signals_kept(sink: Sink) -> Iterator[None]:
    """Have the sink keep what a signal's handler raises while HDF5 calls it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}

    def handle(number: int, frame: FrameType | None) -> None:
        handler = handlers[signal.Signals(number)]
        assert callable(handler)
        try:
            handler(number, frame)
        except BaseException as problem:
            if not _is_called_by_hdf5(frame):
                raise
            sink.fail(problem)

    replaced = [number for number, handler in handlers.items() if callable(handler)]
    for number in replaced:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number in replaced:
            signal.signal(number, handlers[number])


def _is_called_by_hdf5(frame: FrameType | None) -> bool:
    while frame is not None:
        code = frame.f_code
        if code.co_filename == __file__ and code.co_name in _CALLBACKS:
            return True
        frame = frame.f_back
    return False


def open_reading(path: str | Path) -> h5py.File:
    """Open a file for reading.

    Raises:
        Busy: another program has it open for writing.
        UserError: absent, no plain file, or no HDF5 file.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path} does not exist: run the stage that writes it")
    files.open_plain(path).close()
    try:
        return h5py.File(path, "r")
    except OSError as problem:
        number = system_errors.error_number(problem)
        if number in _IN_USE:
            raise Busy(f"{path} is in use by another process: close it and run again") from None
        if number in _NO_LOCKS:
            return _without_lock(path)
        raise _unreadable(path, problem) from None


def _without_lock(path: Path) -> h5py.File:
    """Open a file where the file system has no locks; nothing writes to a file that is whole."""
    try:
        return h5py.File(path, "r", locking=False)
    except OSError as problem:
        raise _unreadable(path, problem) from None


def _unreadable(path: Path, problem: OSError) -> UserError:
    if "already open for write" in str(problem):
        return UserError(f"{path} was left open by a program that changed it: make it again")
    return UserError(f"{path} is damaged or no HDF5 file: make it again")
