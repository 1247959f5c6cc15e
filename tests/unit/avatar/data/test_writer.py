from pathlib import Path

import numpy as np
import pytest

from avatar.data import layout
from avatar.data.layout import IMAGE, Tables
from avatar.data.reader import FrameStore
from avatar.data.writer import create
from tests.unit.avatar.data.stores import SIZE


def test_a_failed_block_leaves_nothing(tmp_path: Path) -> None:
    def write() -> None:
        with create(tmp_path / "a.h5") as writer:
            writer.append(IMAGE, b"half")
            raise RuntimeError("midway")

    with pytest.raises(RuntimeError, match="midway"):
        write()
    assert list(tmp_path.iterdir()) == []


def test_many_blobs_are_found_again(tmp_path: Path) -> None:
    """More than a piece, of sizes that straddle its borders."""
    random = np.random.default_rng(0)
    blobs = [random.bytes(int(size)) for size in random.integers(1, 40000, 40)]
    count = len(blobs)
    assert sum(map(len, blobs)) > 4 * layout.PIECE
    with create(tmp_path / "a.h5") as writer:
        for blob in blobs:
            writer.append(IMAGE, blob)
        rows = np.arange(count)
        writer.write_tables(
            Tables(["0"], np.array([SIZE]), np.full(count, "main"), rows, rows / 25, 0 * rows, rows)
        )
    with FrameStore(tmp_path / "a.h5") as frames:
        assert all(frames.blob(IMAGE, k).tobytes() == blobs[k] for k in random.permutation(count))
