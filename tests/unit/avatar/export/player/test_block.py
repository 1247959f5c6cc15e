import json

import numpy as np
import pytest

from avatar.export.player.block import pack, quantise, unpack


def test_quantising_uses_the_whole_range_of_each_row() -> None:
    found = quantise(np.array([[1.0, -0.5, 0.0], [254.0, 127.0, -2.0]]), "int8")
    assert found.numbers.tolist() == [[127, -64, 0], [127, 64, -1]]
    assert np.allclose(found.scale, [1 / 127, 2.0])
    assert np.allclose(found.values()[1], [254, 128, -2])


@pytest.mark.parametrize("kind", ["int8", "int16"])
def test_values_come_back_within_half_a_step(kind: str) -> None:
    rows = np.random.default_rng(0).normal(0, [[1e-4], [1.0], [1e3]], (3, 200))
    found = quantise(rows, kind)
    assert (abs(found.values() - rows).max(1) <= 0.5001 * found.scale).all()


def test_rows_of_zeros_stay_zero_and_empty_rows_are_allowed() -> None:
    assert (quantise(np.zeros((2, 4)), "int8").values() == 0).all()
    assert quantise(np.zeros((0, 4)), "int8").values().shape == (0, 4)
    assert quantise(np.zeros((2, 0)), "int8").values().shape == (2, 0)


def test_a_block_comes_back() -> None:
    arrays = {
        "odd": np.arange(5, dtype=np.uint16),
        "plain": np.array([[1.5, -2.5]], np.float32),
        "rounded": quantise(np.array([[0.0, 1.0], [3.0, -3.0]]), "int16"),
    }
    header, found = unpack(pack({"who": "Zoë"}, arrays))
    assert header["who"] == "Zoë"
    assert found["odd"].tolist() == [0, 1, 2, 3, 4]
    assert found["plain"].tolist() == [[1.5, -2.5]]
    assert np.allclose(found["rounded"], [[0, 1], [3, -3]])


def test_arrays_begin_where_typed_arrays_may() -> None:
    block = pack({"x": "y"}, {"a": np.zeros(3, np.int8), "b": np.zeros(2, np.float32)})
    start = 4 + int(np.frombuffer(block, np.uint32, 1)[0])
    entries = json.loads(block[4:start])["arrays"]
    assert start % 8 == 0
    assert [entry["offset"] % 8 for entry in entries.values()] == [0, 0]
