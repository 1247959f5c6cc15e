"""Pickles of a few bytes that would take memory or time: refused before anything is loaded."""

import pickle
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csc_matrix

from avatar.base.errors import UserError
from pipeline.rigs.flame import opcodes
from pipeline.rigs.flame.unpickle import load_arrays
from tests import flames


def length(count: int, size: int) -> bytes:
    return count.to_bytes(size, "little")


ARRAY = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\0\x85C\1btR"
FLOATS = (
    b"cnumpy\ndtype\nX\2\0\0\0f4K\0K\1\x87R(K\3X\1\0\0\0<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
)
BILLION = b"\x8a\5" + length(10**9, 5)
CSC = b"cscipy.sparse.csc\ncsc_matrix\n)\x81"
TUPLE_TOWER = b"(" + b"K\1\x85" + b"2\x86" * 40

BOMBS = {
    "a memo's number": b"\x80\2}r\xff\xff\xff\x0f.",
    "a memo's number in letters": b"}p268435455\n.",
    "a negative memo's number": b"}p-1\n.",
    "a length of text": b"\x80\4\x8d" + length(1 << 32, 8) + b"a.",
    "a length of bytes": b"\x80\4\x8e" + length(1 << 60, 8) + b"a.",
    "a length of a bytearray": b"\x80\5\x96" + length(1 << 40, 8) + b"a.",
    "a length of an old string": b"T" + length((1 << 31) - 1, 4) + b"a.",
    "a negative length": b"T" + length((1 << 32) - 1, 4) + b"a.",
    "a frame's length": b"\x80\4\x95" + length(1 << 40, 8) + b"}.",
    "a long integer": b"\x8b" + length(1 << 20, 4) + b"\xff" * (1 << 20) + b".",
    "a long integer in letters": b"L" + b"9" * 4000 + b"L\n.",
    "copies of copies": b"]" + b"2" * 150_000 + b".",
    "empty dictionaries": b"}" * 150_000 + b".",
    "marks": b"(" * 150_000 + b".",
    "marks, each looked for": b"(" * 50_000 + b"t" * 49_000 + b"0" * 60_000 + b".",
    "a tuple of tuples as a key": b"}" + TUPLE_TOWER + b"K\1s.",
    "a tuple of tuples from the memo": b"}K\1\x85q\0" + b"h\0h\0\x86q\0" * 40 + b"K\1s.",
    "deep nesting": b")" + b"\x85" * 120_000 + b".",
    "wide text": b"X" + length(1 << 24, 4) + b"a" * ((1 << 24) - 4) + "\U0001f600".encode() + b".",
    "wide text in letters": b"V" + b"a" * (1 << 24) + b"\\U0001f600\n.",
    "no end": b"}" * 10,
    "nothing on the stack": b"\x85.",
    "no mark": b"]a.",
}


@pytest.mark.fault("M15")
@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_in_little_memory_and_time(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Checks of signatures, which only tests have, make each step a hundred times as long.
    monkeypatch.setattr(opcodes, "MOST_OPCODES", 3000)
    path = tmp_path / "flame.pkl"
    path.write_bytes(BOMBS[name])
    size = path.stat().st_size
    tracemalloc.start()
    start = time.monotonic()
    try:
        with pytest.raises(UserError, match=r"flame\.pkl is no pickle, or a damaged one \(.+\)"):
            load_arrays(path, ["v"])
        assert tracemalloc.get_traced_memory()[1] < 3 * size + (16 << 20)
    finally:
        tracemalloc.stop()
    assert time.monotonic() - start < 5


def state(shape: bytes, dtype: bytes = FLOATS, raw: bytes = b"C\4abcd") -> bytes:
    return ARRAY + b"(K\1" + shape + dtype + b"\x89" + raw + b"tb"


def sparse(rows: bytes, data: bytes) -> bytes:
    parts = {
        b"data": data,
        b"indices": state(b"K\1\x85"),
        b"indptr": state(b"K\1\x85"),
        b"_shape": rows + rows + b"\x86",
    }
    items = b"".join(b"X" + length(len(k), 4) + k + v for k, v in parts.items())
    return CSC + b"}(" + items + b"ub"


VALUES = {
    "a shape of 10^12": state(b"\x8a\6" + length(10**12, 6) + b"\x85"),
    "a shape of 10^18 in two": state(2 * BILLION + b"\x86"),
    "a shape that is text": state(b"X\1\0\0\0a"),
    "a shape of tuples": state(b"K\1\x85\x85"),
    "a kind that is a tuple": state(b"K\1\x85", FLOATS.replace(b"X\2\0\0\0f4", b"K\1\x85")),
    "a kind of many fields": state(b"K\1\x85", FLOATS.replace(b"X\2\0\0\0f4", b"X\5\0\0\0f4,f4")),
    "bytes of a list": state(b"K\1\x85", raw=b"c_codecs\nencode\n](K\1e\x85R"),
    "no state": ARRAY,
    "a sparse matrix of 10^18": sparse(BILLION, state(b"K\1\x85")),
    "a sparse matrix of lists": sparse(b"K\1", b"](K\1e"),
    "a list of lists": b"](K\1eq\x01" + b"0](h\x01h\x01eq\x01" * 12,
    "a wrapper of itself": b"cchumpy.ch\nCh\n)\x81q\x01}X\1\0\0\0xh\x01sb",
}  # fmt: skip


@pytest.mark.fault("M15")
@pytest.mark.parametrize("name", VALUES)
def test_an_array_that_claims_too_much_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "flame.pkl"
    path.write_bytes(b"\x80\2}X\1\0\0\0v" + VALUES[name] + b"s.")
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=r"flame\.pkl: v is no array of numbers") as caught:
            load_arrays(path, ["v"])
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
    assert len(str(caught.value)) < 500


def test_the_parts_of_these_tests_make_arrays(tmp_path: Path) -> None:
    """What the values above are variations of."""
    path = tmp_path / "flame.pkl"
    path.write_bytes(b"\x80\2}X\1\0\0\0v" + state(b"K\1\x85", raw=b"C\4\0\0\x80\x3f") + b"s.")
    assert load_arrays(path, ["v"])["v"].tolist() == [1.0]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_of_arrays_pass(protocol: int) -> None:
    content = {
        "array": np.arange(1000.0),
        "sparse": csc_matrix(np.eye(30)),
        "list": [list(range(50))] * 20,
        "tuple": tuple((k, (k, k)) for k in range(50)),
        "text": "grüße " * 100,
    }
    opcodes.check(pickle.dumps(content, protocol))


def test_a_file_like_flames_stays_far_below_the_limits(tmp_path: Path) -> None:
    data = flames.save_pickle(tmp_path / "flame.pkl").read_bytes()
    opcodes.check(data)
    assert 50 < sum(1 for _ in opcodes._opcodes(data)) < opcodes.MOST_OPCODES / 100


@pytest.mark.fault("M15")
def test_a_file_of_any_size_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "flame.pkl"
    with open(path, "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(UserError, match="more than 256 MiB"):
        load_arrays(path, ["v"])
