import errno
import os
from pathlib import Path

import pytest

from avatar.base import system_errors
from avatar.base.errors import Busy, UserError
from avatar.base.system_errors import as_user_error
from tests.disks import file_size_limit


def test_errors_for_the_user_stay_and_faults_of_the_program_are_none() -> None:
    busy = Busy("held")
    assert as_user_error(busy) is busy
    assert as_user_error(ZeroDivisionError("ours")) is None
    assert as_user_error(ValueError("7 is no address")) is None


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOTDIR, errno.EXDEV])
def test_every_error_of_the_system_names_the_file_and_the_reason(number: int) -> None:
    found = as_user_error(OSError(number, os.strerror(number), "results/anna"))
    assert str(found).startswith(f"results/anna: {os.strerror(number)}")
    assert found is not None
    assert found.exit_code == 2


def test_of_a_rename_the_final_name_is_given() -> None:
    problem = OSError(errno.EISDIR, "Is a directory", ".tmp", None, "frames.h5")
    assert str(as_user_error(problem)).startswith("frames.h5: Is a directory")


@pytest.mark.fault("H2")
@pytest.mark.parametrize(
    "problem",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        OSError("Can't write data (errno = 28, error message = 'No space left on device')"),
        RuntimeError("Unable to flush (file write failed: errno = 28, error message)"),
        Exception("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_known_by_any_librarys_words(problem: Exception) -> None:
    text = str(as_user_error(problem))
    assert "cannot be written" in text
    assert "iB are free: make room" in text


@pytest.mark.fault("H2")
def test_what_is_needed_and_free_is_named(tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    path = tmp_path / "no/such/dataset.h5"
    text = str(system_errors.no_space(full, path, needed=3.5 * 2**30))
    assert text.startswith(f"{path} cannot be written: No space left on device, it needs about 3.5")
    free = system_errors.free_bytes(path)
    assert f"{free / 2**30:.1f} GiB are free" in text
    assert "more than 1.5 MiB" in str(system_errors.no_space(full, path, written=3 << 19))


@pytest.mark.fault("H2")
def test_a_limit_on_sizes_is_named() -> None:
    with file_size_limit(2 << 20):
        text = str(as_user_error(OSError(errno.EFBIG, "File too large", "a.h5")))
    assert text.startswith("a.h5 cannot be written: File too large, files may have 2.0 MiB")


@pytest.mark.fault("M1")
@pytest.mark.parametrize(
    "problem",
    [
        MemoryError(),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        RuntimeError("can't start new thread"),
        Exception("OpenCV: error: (-4:Insufficient memory) Failed to allocate 9 bytes"),
    ],
)
def test_too_little_memory_is_known_by_any_librarys_words(problem: Exception) -> None:
    found = as_user_error(problem)
    assert isinstance(found, UserError)
    assert "out of memory" in str(found)
