import subprocess
import sys
import time
from pathlib import Path

CHILD = """
import sys, time
from pipeline.common.parent import end_with
end_with(int(sys.argv[1]))
print("on", flush=True)
time.sleep(60)
"""
PARENT = """
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1], str(os.getpid())])
print(child.pid, flush=True)
child.wait()
"""


def _alive(process: int) -> bool:
    """Whether it runs; an orphan that nobody has asked how it ended does not."""
    try:
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False


def test_a_child_ends_with_a_killed_parent() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, CHILD], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert parent.stdout.readline() == b"on\n"
    parent.kill()
    parent.wait()
    parent.stdout.close()
    start = time.monotonic()
    while _alive(child) and time.monotonic() < start + 5:
        time.sleep(0.01)
    assert not _alive(child)


def test_a_child_whose_parent_has_ended_before_does_not_start() -> None:
    done = subprocess.run([sys.executable, "-c", CHILD, "1"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
