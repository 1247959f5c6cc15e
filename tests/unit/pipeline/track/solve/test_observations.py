import numpy as np

from pipeline.track.solve.observations import Observations


def _observed(covered: np.ndarray | None) -> Observations:
    points = np.arange(24.0).reshape(3, 2, 2, 2)
    return Observations(
        points, np.array([[True, False]] * 3), np.tile(np.eye(3), (2, 1, 1)),
        np.tile(np.eye(4), (2, 1, 1)), np.array([0.0, 0.1, 0.2]), np.array([0, 0, 1]), covered,
    )  # fmt: skip


def test_some_timesteps_of_all_cameras() -> None:
    covered = np.zeros((3, 2, 2), bool)
    covered[2, 1, 0] = True
    part = _observed(covered).at(np.array([2, 0]))
    assert len(part) == 2
    assert part.points[:, 0, 0, 0].tolist() == [16, 0]
    assert part.clip.tolist() == [1, 0]
    assert part.covered is not None
    assert part.covered[0, 1].tolist() == [True, False]
    assert part.Ks.shape == (2, 3, 3)


def test_unknown_stays_unknown() -> None:
    assert _observed(None).at(np.array([1])).covered is None
