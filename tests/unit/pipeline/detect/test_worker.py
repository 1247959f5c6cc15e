import subprocess
import sys
from pathlib import Path

import numpy as np

from tests.unit.pipeline.track.capture import write_store


def test_a_worker_loads_nothing_heavy_beside_mediapipe(face: np.ndarray, tmp_path: Path) -> None:
    write_store(tmp_path / "frames.h5", [face] * 2, 1, 2)
    script = """
import sys
from pipeline.detect import worker
arguments = ["--frames", sys.argv[1], "--share", "0/1", "--out", sys.argv[2]]
assert worker.main(arguments) == 0
assert "mediapipe" in sys.modules
print({"torch", "numba", "matplotlib", "matplotlib.pyplot", "scipy", "av"} & set(sys.modules))
from matplotlib.figure import Figure  # the true one, in the same process
Figure().savefig(sys.argv[2] + ".png")
"""
    command = [sys.executable, "-c", script, str(tmp_path / "frames.h5"), str(tmp_path / "out.npz")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "set()\n"), done.stderr
