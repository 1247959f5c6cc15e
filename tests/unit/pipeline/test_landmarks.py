from pathlib import Path

import numpy as np
import pytest

from avatar.render.mesh import shade
from avatar.rig import HeadRig
from pipeline import landmarks
from pipeline.landmarks import LEFT_IRIS, RIGHT_IRIS
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
