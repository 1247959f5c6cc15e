import numpy as np

from pipeline.detect import subject_face


def _face(x: float, y: float = 100.0, size: float = 50.0, tilt: float = 0.0) -> np.ndarray:
    """A square grid of landmarks about (x, y) whose eye corners lie level, but for `tilt`."""
    side = np.linspace(-0.5, 0.5, 22)
    points = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)[:478]
    points[33], points[263] = (-0.2, 0.0), (0.2, 0.0)
    angle = np.radians(tilt)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return size * points @ turn + [x, y]


TIME = np.arange(40) / 25


def _chosen(frames: list[list[np.ndarray]]) -> list[int | None]:
    """Of each frame which of its faces is chosen."""
    counts = [len(several) for several in frames]
    points = np.array([face for several in frames for face in several]).reshape(-1, 478, 2)
    rows = subject_face.choose(
        points, np.repeat(np.arange(len(frames)), counts), TIME[: len(frames)]
    )
    first = np.cumsum([0, *counts[:-1]])
    return [None if row < 0 else int(row - start) for row, start in zip(rows, first, strict=True)]


def test_a_lone_face_is_taken_and_a_gap_stays_a_gap() -> None:
    frames = [[] if k in (5, 6) else [_face(100 + 2 * k)] for k in range(40)]
    assert _chosen(frames) == [None if k in (5, 6) else 0 for k in range(40)]
    assert _chosen([[], []]) == [None, None]


def test_of_two_persons_the_larger_one_in_whatever_order() -> None:
    large, small = _face(60, size=50), _face(200, size=35)
    frames = [[small, large] if k % 3 else [large, small] for k in range(40)]
    assert _chosen(frames) == [1 if k % 3 else 0 for k in range(40)]


def test_a_bystander_does_not_stand_in_for_the_subject() -> None:
    subject, other = _face(60), _face(200)
    frames = [[other] if 15 <= k < 20 else [subject] for k in range(40)]
    assert _chosen(frames) == [None if 15 <= k < 20 else 0 for k in range(40)]


def test_wrong_size_and_mirrored_are_no_heads_move() -> None:
    for odd in (_face(100, size=110), _face(100, tilt=180)):
        frames = [[odd] if k == 20 else [_face(100)] for k in range(40)]
        assert _chosen(frames) == [None if k == 20 else 0 for k in range(40)]


def test_after_a_cut_the_clip_goes_on() -> None:
    time = np.arange(200) / 25
    points = np.array([_face(60 if k < 100 else 200) for k in range(200)])
    assert (subject_face.choose(points, np.arange(200), time) == np.arange(200)).all()
    assert subject_face.leaps(points, time)


def test_a_quick_head_does_not_leap() -> None:
    # 3 face sizes a second, and twice as fast.
    quick = np.array([_face(100 + 6 * k) for k in range(20)])
    assert not subject_face.leaps(quick, TIME[:20])
    assert subject_face.leaps(np.array([_face(100 + 18 * k) for k in range(20)]), TIME[:20])
    quick[3] = np.nan
    assert not subject_face.leaps(quick, TIME[:20])
