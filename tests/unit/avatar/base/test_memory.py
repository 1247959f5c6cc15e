import resource
import subprocess
import sys

from avatar.base import memory

# Takes and frees blocks of 64 MiB, and prints how many fresh pages all but the first cost.
CODE = """
import resource, sys
from avatar.base.memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
for k in range(5):
    block = b"x" * (64 << 20)
    if k == 0:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    del block
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", CODE, how], capture_output=True, check=True)
    return int(done.stdout)


def test_freed_memory_is_used_again_without_fresh_pages() -> None:
    pages = 4 * (64 << 20) // resource.getpagesize()
    assert _faults("keep") < pages / 20 < _faults("default")


def test_the_most_generous_caller_counts() -> None:
    before = dict(memory._kept)
    memory.keep_freed_memory(1 << 20, 1 << 20)
    kept = dict(memory._kept)
    assert all(kept[option] >= max(before[option], 1 << 20) for option in kept)
    memory.keep_freed_memory(1 << 10, 1 << 10)
    assert memory._kept == kept
