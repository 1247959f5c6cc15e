import numpy as np

from pipeline.matte.backends.closed_form import ClosedForm, make_trimap
from tests.unit.pipeline.matte.scenes import ellipse


def test_a_trimap_is_certain_away_from_the_edge() -> None:
    trimap = make_trimap(ellipse(100, 100))
    assert set(np.unique(trimap)) == {0, 0.5, 1}
    assert trimap[50, 50] == 1
    assert trimap[5, 5] == 0
    assert (trimap[50, 21:30] == 0.5).any()
    assert (trimap == 0.5).mean() < 0.15


def test_no_person_needs_no_solution() -> None:
    assert not ClosedForm()(np.full((64, 64, 3), 90, np.uint8)).any()
