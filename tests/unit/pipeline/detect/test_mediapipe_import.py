import subprocess
import sys

FRESH = """
import sys
from pipeline.detect.mediapipe_import import import_mediapipe
import_mediapipe()
put_off = [n for n in ("matplotlib", "sounddevice", "mediapipe.tasks") if n in sys.modules]
assert not put_off, put_off
from mediapipe.python.solutions import drawing_utils, face_mesh
assert "matplotlib" not in sys.modules
assert drawing_utils.plt.figure.__module__ == "matplotlib.pyplot"
from mediapipe.tasks.python import vision
assert vision.FaceLandmarker and sys.modules["mediapipe.tasks"].__file__
"""


def test_what_is_put_off_is_there_when_asked_for() -> None:
    done = subprocess.run([sys.executable, "-c", FRESH], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
