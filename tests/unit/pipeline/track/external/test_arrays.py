import numpy as np

from pipeline.track.external.arrays import nearest_known


def test_the_nearest_known_timestep_of_the_own_sequence() -> None:
    known = np.array([0, 1, 0, 0, 1, 0, 0, 0, 1, 0], bool)
    sequence = np.array(list("aaaabbbccd"))
    assert nearest_known(known, sequence).tolist() == [1, 1, 1, 1, 4, 4, 4, 8, 8, 8]
