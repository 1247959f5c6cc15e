"""Arrays out of a pickle without running anything in it.

A pickle is a program: it names callables and calls them. Here the few names that arrays, sparse
matrices and chumpy's wrappers need stand for inert classes of this module, which only keep what
they are given; any other name ends the reading. NumPy's own unpickling is not used either.
"""

import io
import os
import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csc_matrix

from avatar.base import files
from avatar.base.errors import UserError
from pipeline.rigs.flame import opcodes

MOST_BYTES = 1 << 28  # of the file, and of each of its arrays


class _Inert:
    """Keeps its arguments and its state; a pickle can set nothing else of it."""

    args: tuple[Any, ...]
    state: Any

    def __new__(cls, *args: Any) -> "_Inert":
        self = super().__new__(cls)
        self.args, self.state = args, None
        return self

    def __init__(self, *args: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def plain(self) -> Any:
        """The number or array that it stands for."""
        raise ValueError(f"{type(self).__name__.strip('_')} stands for no array")


class _Object(_Inert):
    """`object` and `numpy.ndarray` where they are only arguments."""


class _DType(_Inert):
    def plain(self) -> np.dtype:
        code, order = self.args[0], "="
        if isinstance(self.state, tuple) and len(self.state) > 1:
            order = self.state[1]
        if not isinstance(code, str) or len(code) > 3 or code[:1] not in ("b", "i", "u", "f"):
            raise ValueError("an array of other things than numbers")
        return np.dtype((order if order in ("<", ">") else "=") + code)


class _Array(_Inert):
    """What `numpy.core.multiarray._reconstruct` begins; the state has shape, type and bytes."""

    def plain(self) -> np.ndarray:
        _, shape, dtype, fortran, raw = self.state
        flat = np.frombuffer(_raw(raw), dtype.plain())
        return flat.reshape(shape, order="F" if fortran else "C")


class _FromBuffer(_Inert):
    """`numpy.core.numeric._frombuffer` of pickle protocol 5."""

    def plain(self) -> np.ndarray:
        raw, dtype, shape, order = self.args
        return np.frombuffer(_raw(raw), dtype.plain()).reshape(shape, order=order)


class _Scalar(_Inert):
    def plain(self) -> Any:
        dtype, raw = self.args
        return np.frombuffer(_raw(raw), dtype.plain())[0]


class _Csc(_Inert):
    """`scipy.sparse.csc_matrix`, of any version of SciPy."""

    def plain(self) -> np.ndarray:
        state = self.state
        parts = [to_plain(state[name]) for name in ("data", "indices", "indptr")]
        rows, columns = (to_plain(size) for size in state["_shape"])
        if not all(isinstance(part, np.ndarray) for part in parts):
            raise ValueError("a sparse matrix of other things than arrays")
        if not 0 <= 8 * int(rows) * int(columns) <= MOST_BYTES:
            raise ValueError(f"a sparse matrix of more than {MOST_BYTES >> 20} MiB")
        matrix = csc_matrix(tuple(parts), shape=(int(rows), int(columns)))
        matrix.check_format()
        return matrix.toarray()


class _Ch(_Inert):
    """Anything of chumpy's; `chumpy.ch.Ch` is a wrapper about one array, its `x`."""

    def plain(self) -> Any:
        return to_plain(self.state["x"])


class _Bytes(_Inert):
    """`_codecs.encode(text, "latin1")`: how Python 3 writes bytes into old protocols."""

    def __bytes__(self) -> bytes:
        text = self.args[0]
        if not isinstance(text, str):
            raise ValueError(f"bytes of a {type(text).__name__}")
        return text.encode("latin1")


class _Rebuilt:
    """`copy_reg._reconstructor(cls, object, None)`: an empty instance of an inert class."""

    def __new__(cls, kind: Any, base: Any, state: Any) -> Any:
        if not (isinstance(kind, type) and issubclass(kind, _Inert)):
            raise ValueError("an instance of something unknown")
        return kind()

    def __setstate__(self, state: Any) -> None:
        raise ValueError("a changed class")


_NUMPY = {"_reconstruct": _Array, "scalar": _Scalar}
_INERT: dict[tuple[str, str], type] = {
    ("numpy", "ndarray"): _Object,
    ("numpy", "dtype"): _DType,
    ("numpy.core.numeric", "_frombuffer"): _FromBuffer,
    ("numpy._core.numeric", "_frombuffer"): _FromBuffer,
    ("_codecs", "encode"): _Bytes,
    **{
        (f"numpy.{core}.multiarray", name): kind
        for core in ("core", "_core")
        for name, kind in _NUMPY.items()
    },
    **{(f"scipy.sparse.{name}", "csc_matrix"): _Csc for name in ("csc", "_csc")},
    **{(module, "_reconstructor"): _Rebuilt for module in ("copy_reg", "copyreg")},
    **{(module, "object"): _Object for module in ("__builtin__", "builtins")},
}


class _Refused(Exception):
    """A name that is not on the list."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type:
        if module.startswith("chumpy."):
            return _Ch
        try:
            return _INERT[module, name]
        except KeyError:
            raise _Refused(f"{module}.{name}") from None


def load_arrays(path: str | Path, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Read arrays of a pickled dictionary, as Python 2 or 3 wrote it; nothing is executed.

    Args:
        path: the pickle.
        names: what is wanted of it.
    Returns:
        The wanted arrays that are there: sparse ones dense, chumpy's unwrapped.
    Raises:
        OSError: the file cannot be read.
        UserError: the pickle names anything but arrays, would take much memory or time, is
            damaged, or holds no dictionary.
    """
    with files.open_plain(path) as file:
        size = os.fstat(file.fileno()).st_size
        data = file.read(min(size, MOST_BYTES))
    try:
        if size > MOST_BYTES:
            raise ValueError(f"more than {MOST_BYTES >> 20} MiB")
        opcodes.check(data)
        # latin1 keeps the bytes of Python 2's strings, arrays among them.
        content = _Unpickler(io.BytesIO(data), encoding="latin1").load()
    except _Refused as name:
        raise UserError(
            f"{path} names {name}, which a file of arrays does not need: nothing of it was run; "
            "take FLAME's file as its makers give it, or an npz of its arrays"
        ) from None
    except Exception as problem:  # a damaged pickle can fail in any way
        raise UserError(
            f"{path} is no pickle, or a damaged one ({problem}): download it again"
        ) from None
    if not isinstance(content, dict):
        raise UserError(f"{path} holds a {type(content).__name__}, expected a model's dictionary")
    return {name: _array(path, name, content[name]) for name in names if name in content}


def _array(path: str | Path, name: str, value: Any) -> np.ndarray:
    try:
        plain = to_plain(value)
        if not isinstance(plain, np.ndarray | np.number | int | float):
            raise ValueError(f"a {type(value).__name__}")
        return np.array(plain, order="C")
    except Exception as problem:  # its parts are whatever the file says
        raise UserError(
            f"{path}: {name} is no array of numbers ({problem}): download the file again"
        ) from None


def _raw(value: Any) -> bytes:
    """An array's bytes, as the versions of Python and pickle write them."""
    if isinstance(value, str):
        return value.encode("latin1")
    if isinstance(value, bytes | bytearray | _Bytes):
        return bytes(value)
    raise ValueError(f"its bytes are a {type(value).__name__}")


def to_plain(value: Any) -> Any:
    """What an inert instance stands for; other values as they are."""
    return value.plain() if isinstance(value, _Inert) else value
