import subprocess
import sys

FORKED = """
import os, sys, threading
import pipeline.matte.preload
assert {"cv2", "numba", "mediapipe"} <= set(sys.modules)
assert "torch" not in sys.modules
native = len(os.listdir("/proc/self/task"))
print(threading.active_count(), native)
"""


def test_what_is_loaded_survives_a_fork() -> None:
    """No other thread runs: its locks would stay closed in the forked process."""
    done = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "1 1\n"), done.stderr
