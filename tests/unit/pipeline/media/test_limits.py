import os
import subprocess
import sys
from pathlib import Path

from pipeline.media import limits

BOUND = """
import sys
from pipeline.media import limits
limits.bind()
try:
    bytearray(limits.MEMORY_BYTES)
except MemoryError:
    print("memory")
try:
    open(sys.argv[1], "ab", buffering=0).write(b"x")
except OSError:
    print("file")
"""


def test_the_worker_is_bound(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"")
    root = str(Path(__file__).resolve().parents[4])
    command = [sys.executable, "-c", BOUND, str(path)]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": root}, stdout=subprocess.PIPE)
    assert done.stdout.split() == [b"memory", b"file"]
    assert path.stat().st_size == 0
    path.write_bytes(bytes(3 << 20))
    assert limits.cpu_seconds(path) == limits.BASE_SECONDS + 3 * limits.SECONDS_PER_MIB
