"""Each expression has its turn, alone, and reaches its peak."""

import numpy as np
import pytest
import torch

from avatar.animate.sweep import SECONDS, sweep
from avatar.rig import HeadRig
from tests.scenes import moving_params


def test_one_expression_after_the_other(rig: HeadRig) -> None:
    own = moving_params(rig, 6)
    motion = sweep(own, rig, 10)
    steps = round(SECONDS * 10)
    assert motion.expr.shape == (4 * steps, 4)
    assert np.diff(motion.time) == pytest.approx(0.1)
    assert (motion.expr > 0).sum(1).max() == 1
    for place in range(4):
        part = motion.expr[place * steps : (place + 1) * steps, place]
        assert float(part[0]) == 0
        assert float(part.max()) == 1
        assert float(motion.expr[:, place].sum()) == pytest.approx(float(part.sum()))
    torch.testing.assert_close(motion.rotation[0], motion.rotation[-1])
    torch.testing.assert_close(motion.shape, own.shape)
