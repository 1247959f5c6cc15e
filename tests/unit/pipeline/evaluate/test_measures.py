import numpy as np
import pytest
from scipy import stats

from pipeline.evaluate.measures import drawn_means, spread


def test_of_values_by_hand() -> None:
    found = spread(np.array([1.0, 2.0, 3.0, 6.0]))
    assert (found["n"], found["mean"]) == (4, 3)
    assert found["std"] == pytest.approx(np.sqrt(14 / 3))
    assert 1 <= found["lo"] < 3 < found["hi"] <= 6
    one = {"n": 1, "mean": 7.0, "std": 0.0, "lo": 7.0, "hi": 7.0}
    assert spread(np.array([7.0])) == one


def test_of_independent_values_is_scipys() -> None:
    values = np.random.default_rng(1).normal(size=400)
    theirs = stats.bootstrap((values,), np.mean, rng=np.random.default_rng(2), method="percentile")
    found = spread(values)
    width = theirs.confidence_interval.high - theirs.confidence_interval.low
    assert found["lo"] == pytest.approx(theirs.confidence_interval.low, abs=0.2 * width)
    assert found["hi"] == pytest.approx(theirs.confidence_interval.high, abs=0.2 * width)


def test_neighbours_that_resemble_each_other_widen_the_interval() -> None:
    """A walk of 512 values that is drawn in blocks of 8, against the same in any order."""
    values = np.cumsum(np.random.default_rng(3).normal(size=512))
    mixed = np.random.default_rng(4).permutation(values)
    assert drawn_means(values).std() > 2 * drawn_means(mixed).std()
    assert drawn_means(values).mean() == pytest.approx(values.mean(), abs=0.1 * values.std())


def test_the_same_values_give_the_same_interval() -> None:
    values = np.random.default_rng(5).normal(size=50)
    assert spread(values) == spread(values.copy())
