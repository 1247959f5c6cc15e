import os
import subprocess
import sys
import time

import numpy as np
import pytest

from pipeline.detect.face_mesh import FaceFinder, FaceMesh, quiet_stderr

SIZE = 256


def test_the_box_holds_the_face(face: np.ndarray) -> None:
    wide = np.concatenate([np.full_like(face, 90), face], 1)
    with FaceMesh(tracking=False) as mesh:
        (points,) = mesh.detect(wide)
    finder = FaceFinder()
    ((left, top, right, bottom),) = finder.boxes(wide)
    assert SIZE < left < points[:, 0].mean() < right < 2 * SIZE
    assert 0 < top < points[:, 1].mean() < bottom < SIZE
    assert right - left == pytest.approx(np.ptp(points[:, 0]), rel=0.3)
    assert finder.boxes(np.full_like(face, 90)).shape == (0, 4)


def test_a_score_tells_upright_from_upside_down(face: np.ndarray) -> None:
    finder = FaceFinder()
    assert finder.score(face) > finder.score(np.rot90(face, 2)) + 0.1


def test_a_tracker_follows_what_a_lone_image_does(face: np.ndarray) -> None:
    with FaceMesh(tracking=True) as stream, FaceMesh(tracking=False) as single:
        followed = [stream.detect(face) for _ in range(3)][-1]
        (alone,) = single.detect(face)
    assert np.abs(followed[0] - alone).max() < 4


def test_native_noise_is_silent_and_errors_are_not(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet_stderr():
        os.write(2, b"noise\n")
        subprocess.run(["sh", "-c", "echo noise >&2"], check=True)
    os.write(2, b"words\n")
    assert capfd.readouterr().err == "words\n"


LEFT_OPEN = """
from pipeline.detect.face_mesh import FaceMesh
import numpy as np
mesh = FaceMesh()
mesh.detect(np.zeros((64, 64, 3), np.uint8))
close = mesh.close
class Witness:
    def __del__(self):
        print("closed" if not close.alive else "open at the interpreter's end")
witness = Witness()
"""


@pytest.mark.fault("H14")
def test_no_graph_outlives_the_interpreter() -> None:
    done = subprocess.run([sys.executable, "-c", LEFT_OPEN], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "closed\n"), done.stderr


@pytest.mark.fault("4.9")
def test_loading_the_networks_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    finder, mesh = FaceFinder(), FaceMesh(tracking=False)
    time.sleep(0.3)  # MediaPipe's threads print when they have loaded theirs
    with quiet_stderr():
        mesh.detect(np.zeros((64, 64, 3), np.uint8))
    finder.close()
    mesh.close()
    assert capfd.readouterr().err == ""
