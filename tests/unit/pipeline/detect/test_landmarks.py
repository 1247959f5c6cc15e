import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from avatar.base.errors import UserError
from avatar.render.mesh import shade
from avatar.rig import HeadRig
from pipeline.detect import landmarks
from pipeline.detect.landmarks import LEFT_IRIS, RIGHT_IRIS
from tests.unit.pipeline.track.capture import plain_colours, write_store

SIZE = 256


@pytest.fixture(scope="module")
def face(anny_rig: HeadRig) -> np.ndarray:
    """A plain head that looks at the camera."""
    viewmat = np.eye(4)
    viewmat[:3, :3] = np.diag([1, -1, -1])
    viewmat[2, 3] = 0.9
    K = np.array([[2.5 * SIZE, 0, SIZE / 2], [0, 2.5 * SIZE, SIZE / 2], [0, 0, 1]])
    verts, faces = anny_rig.v_template.numpy().astype(float), anny_rig.faces.numpy()
    image, _ = shade(verts, faces, plain_colours(anny_rig), viewmat, K, SIZE, SIZE, 0.6)
    return (image * 255).astype(np.uint8)


BLANK = np.full((SIZE, SIZE, 3), 90, np.uint8)


def test_points_are_pixels_and_right_is_the_subjects(face: np.ndarray) -> None:
    found = landmarks.detect_images([face, BLANK])
    assert found.found.tolist() == [True, False]
    assert np.isnan(found.points[1]).all()
    right, left = found.points[0, RIGHT_IRIS], found.points[0, LEFT_IRIS]
    assert 60 < right[0] < 128 < left[0] < 196
    # A strip of 64 pixels to the left moves every point by 64.
    wide = np.concatenate([BLANK[:, :64], face], 1)
    moved = landmarks.detect_images([wide]).points[0]
    assert np.median(moved - found.points[0], axis=0) == pytest.approx([64, 0], abs=1.0)


def test_a_store_gives_the_same_with_one_worker_and_with_two(
    face: np.ndarray, tmp_path: Path
) -> None:
    dark = (face * 0.7).astype(np.uint8)
    write_store(tmp_path / "frames.h5", [face, BLANK, face, dark, dark, BLANK], 2, 3)
    one = landmarks.detect_store(tmp_path / "frames.h5", workers=1)
    two = landmarks.detect_store(tmp_path / "frames.h5", workers=2)
    assert one.found.tolist() == [True, False, True, True, True, False]
    assert one.found.tolist() == two.found.tolist()
    assert np.array_equal(one.points, two.points, equal_nan=True)


def test_a_workers_failure_is_reported(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"absent\.h5"):
        landmarks.detect_store(tmp_path / "absent.h5")


def _children() -> set[str]:
    """Processes that this one has started and that have not been waited for."""
    mine = f"PPid:\t{os.getpid()}\n"
    return {
        status.parent.name
        for status in Path("/proc").glob("[0-9]*/status")
        if mine in _content(status)
    }


def _content(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # the process has ended
        return ""


def test_workers_end_with_the_block(tmp_path: Path) -> None:
    write_store(tmp_path / "frames.h5", [BLANK] * 4, 1, 4)
    before = _children()

    def find_a_mistake_meanwhile() -> None:
        with landmarks.detecting(tmp_path / "frames.h5", workers=2):
            assert len(_children() - before) == 2
            raise UserError("a mistake")

    with pytest.raises(UserError, match="a mistake"):
        find_a_mistake_meanwhile()
    assert _children() == before


def test_a_worker_loads_nothing_heavy_beside_mediapipe(face: np.ndarray, tmp_path: Path) -> None:
    write_store(tmp_path / "frames.h5", [face] * 2, 1, 2)
    script = """
import sys
from pipeline.detect import landmarks
arguments = ["--frames", sys.argv[1], "--share", "0/1", "--out", sys.argv[2]]
assert landmarks.main(arguments) == 0
assert "mediapipe" in sys.modules
print({"torch", "numba", "matplotlib", "matplotlib.pyplot", "scipy", "av"} & set(sys.modules))
from matplotlib.figure import Figure  # the true one, in the same process
Figure().savefig(sys.argv[2] + ".png")
"""
    command = [sys.executable, "-c", script, str(tmp_path / "frames.h5"), str(tmp_path / "out.npz")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "set()\n"), done.stderr


def test_every_clip_is_a_run_of_its_own() -> None:
    camera = np.array([0, 0, 1, 1, 0])
    sequence = np.array(["a", "a", "a", "b", "b"])
    index = np.array([1, 0, 0, 0, 0])
    runs = landmarks.chunks(camera, sequence, index)
    assert runs == [([], [1, 0]), ([], [4]), ([], [2]), ([], [3])]


def test_long_clips_are_cut_and_the_tracker_warms_up() -> None:
    count = landmarks.CHUNK + 44
    runs = landmarks.chunks(np.zeros(count, int), np.full(count, "a"), np.arange(count))
    assert [len(keep) for _, keep in runs] == [150, 150]
    assert runs[0][0] == []
    assert runs[1] == ([145, 146, 147, 148, 149], list(range(150, 300)))


def test_work_is_shared_out_evenly_and_completely() -> None:
    sizes = [10, 50, 20, 30]
    shares = [landmarks.share(sizes, worker, 2) for worker in range(2)]
    assert shares == [[0, 1], [2, 3]]


def test_the_way_back_from_quarter_turns() -> None:
    image = np.zeros((30, 50))
    image[7, 41] = 1
    for quarters in range(4):
        y, x = np.argwhere(np.rot90(image, quarters))[0]
        there = np.array([x + 0.5, y + 0.5])
        assert landmarks.turn_back(there, (50, 30), quarters).tolist() == [41.5, 7.5]


def test_of_two_persons_one_is_followed(face: np.ndarray, tmp_path: Path) -> None:
    small = np.ascontiguousarray(BLANK)
    small[50:210, 48:208] = cv2.resize(face, (160, 160), interpolation=cv2.INTER_AREA)
    both = [np.concatenate([small, face], 1), np.concatenate([small, BLANK], 1)]
    # The larger one is hidden in two frames: nobody else takes its place.
    frames = [both[k in (4, 5)] for k in range(9)]
    write_store(tmp_path / "frames.h5", frames, 1, 9)
    found = landmarks.detect_store(tmp_path / "frames.h5", workers=1)
    assert found.found.tolist() == [k not in (4, 5) for k in range(9)]
    assert (found.points[found.found].mean(1)[:, 0] > SIZE).all()
    assert found.doubted.tolist() == [k in (4, 5) for k in range(9)]
    subject = landmarks.detect_subject(frames)
    assert (subject.points[subject.found].mean(1)[:, 0] > SIZE).all()


def test_an_upside_down_camera_is_seen_through(face: np.ndarray, tmp_path: Path) -> None:
    upright = landmarks.detect_images([face]).points[0]
    write_store(tmp_path / "frames.h5", [np.rot90(face, 2)] * 4, 1, 4)
    found = landmarks.detect_store(tmp_path / "frames.h5", workers=1)
    assert found.found.all()
    assert np.abs(SIZE - found.points[3] - upright).max() < 3
