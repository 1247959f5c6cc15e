"""Reading a pickle runs nothing of it."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csc_matrix

from avatar.base.errors import UserError
from pipeline.rigs.flame.unpickle import load_arrays


def written(path: Path, content: object, protocol: int = 2) -> Path:
    path.write_bytes(pickle.dumps(content, protocol))
    return path


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_of_every_protocol_come_back(tmp_path: Path, protocol: int):
    content = {
        "wide": np.arange(6.0).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6, dtype=np.uint32).reshape(2, 3)),
        "big_endian": np.array([1.5, -2.0], ">f8"),
        "sparse": csc_matrix(np.eye(3)[:2]),
        "number": np.float64(0.25),
    }
    found = load_arrays(written(tmp_path / "a.pkl", content, protocol), content)
    assert found["wide"].flags.writeable
    for name in ("wide", "fortran", "big_endian", "number"):
        np.testing.assert_array_equal(found[name], content[name])
    np.testing.assert_array_equal(found["sparse"], np.eye(3)[:2])


def test_a_pickle_of_python_2(tmp_path: Path):
    """Protocol 0 as Python 2 writes it: `copy_reg`, `__builtin__`, bytes as latin-1 strings."""
    text = (
        b"(dp0\nS'v'\np1\ncnumpy.core.multiarray\n_reconstruct\np2\n(cnumpy\nndarray\np3\n(I0\ntp4\n"
        b"S'b'\np5\ntp6\nRp7\n(I1\n(I2\ntp8\ncnumpy\ndtype\np9\n(S'f4'\np10\nI0\nI1\ntp11\nRp12\n"
        b"(I3\nS'<'\np13\nNNNI-1\nI-1\nI0\ntp14\nbI00\nS'\\x00\\x00\\x80?\\x00\\x00\\x00\\xc0'\n"
        b"p15\ntp16\nbsS'c'\np17\nccopy_reg\n_reconstructor\np18\n(cchumpy.ch\nCh\np19\n"
        b"c__builtin__\nobject\np20\nNtp21\nRp22\n(dp23\nS'x'\np24\ng7\nsbs."
    )
    (tmp_path / "two.pkl").write_bytes(text)
    found = load_arrays(tmp_path / "two.pkl", ["v", "c"])
    assert found["v"].tolist() == found["c"].tolist() == [1.0, -2.0]


class Call:
    """Pickled as a call of anything."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.parts = (function, arguments)

    def __reduce__(self) -> tuple:
        return self.parts


@pytest.mark.parametrize("function", [os.system, os.mkdir, eval, getattr, __import__, np.load])
def test_a_pickle_that_calls_a_function(tmp_path: Path, function: object):
    trap = tmp_path / "trap"
    arguments = {os.system: f"mkdir {trap}", eval: f"__import__('os').mkdir({str(trap)!r})"}
    call = Call(function, arguments.get(function, str(trap)))
    path = written(tmp_path / "evil.pkl", {"v": call})
    with pytest.raises(UserError, match=r"names \S+, .* nothing of it was run"):
        load_arrays(path, ["v"])
    assert not trap.exists()


def test_the_list_cannot_be_changed_by_a_pickle(tmp_path: Path):
    """BUILD on a class: `chumpy.ch.Ch` may not lose its ways in favour of another's."""
    for state in (b"}", b"N}S'plain'\nS'x'\ns\x86"):
        (tmp_path / "build.pkl").write_bytes(b"cchumpy.ch\nCh\n" + state + b"b.")
        with pytest.raises(UserError, match="no pickle, or a damaged one"):
            load_arrays(tmp_path / "build.pkl", ["v"])


def test_what_is_no_array_of_numbers(tmp_path: Path):
    for value in (np.array([{}], object), np.array(["a"])):
        path = written(tmp_path / "a.pkl", {"v": value, "unused": value})
        assert load_arrays(path, ["other"]) == {}
        with pytest.raises(UserError, match="v is no array of numbers"):
            load_arrays(path, ["v"])


def test_damaged_files(tmp_path: Path):
    path = written(tmp_path / "a.pkl", {"v": np.arange(100.0)})
    whole = path.read_bytes()
    for content in (whole[:-100], b"", b"text", whole[:40] + bytes(40) + whole[80:]):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"a\.pkl"):
            load_arrays(path, ["v"])
    with pytest.raises(UserError, match="holds a list"):
        load_arrays(written(path, [1, 2]), ["v"])
