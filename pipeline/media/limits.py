"""What a video may cost: the reading process keeps to these limits or is ended."""

import resource
from pathlib import Path

PIXELS = 8192 * 8192  # of one frame
FRAMES = 1_000_000  # of one file
FILE_BYTES = 256 << 30
MEMORY_BYTES = 6 << 30  # address space: an 8K stream with its references takes about 2 GiB
SLOTS = 4  # frames on their way between the processes
SLOT_BYTES = PIXELS * 3
SILENCE = 120.0  # seconds without a sign of life until the reader is ended
# Processor time in proportion to the file, so that a lying file ends and a long one does not.
BASE_SECONDS, SECONDS_PER_MIB = 120, 60


def bind() -> None:
    """Bind this process for good: memory, no file written, no core dump."""
    for kind, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        most = _at_most(most, kind)
        resource.setrlimit(kind, (most, most))


def allow(path: Path) -> None:
    """Give this process the processor time that reading a file may take, from now on."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(usage.ru_utime + usage.ru_stime) + cpu_seconds(path)
    most = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (_at_most(seconds, resource.RLIMIT_CPU), most))


def _at_most(value: int, kind: int) -> int:
    """A limit that is set already can only be lowered."""
    most = resource.getrlimit(kind)[1]
    return value if most == resource.RLIM_INFINITY else min(value, most)


def cpu_seconds(path: Path) -> int:
    """Processor time that reading a file may take."""
    try:
        size = path.stat().st_size
    except (OSError, ValueError):
        size = 0
    return BASE_SECONDS + size * SECONDS_PER_MIB // (1 << 20)
