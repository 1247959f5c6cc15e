"""The player's data: one binary block of a JSON header and typed arrays.

Layout, little-endian: length of the header (uint32), the header (UTF-8 JSON, padded with spaces so
that the arrays begin at a multiple of 8), then the arrays, each beginning at a multiple of 8. The
header's `arrays` gives each array's `type`, `shape`, `offset` from the first array's start, and
for a quantised array `scale`: one factor for each index of its first axis.
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Num

_ALIGN = 8
_TYPES = ("int8", "int16", "uint16", "uint32", "float32")


@dataclass(frozen=True)
class Quantised:
    """Rows of whole numbers; row i times `scale[i]` are the values."""

    numbers: Num[np.ndarray, "R *M"]
    scale: Float[np.ndarray, "R"]

    def values(self) -> Float[np.ndarray, "R *M"]:
        """What the numbers stand for."""
        scale = self.scale.reshape(-1, *[1] * (self.numbers.ndim - 1))
        return self.numbers.astype(np.float32) * scale


def quantise(rows: Float[np.ndarray, "R *M"], kind: str) -> Quantised:
    """Round each row to whole numbers of one step, with its largest value at the type's end.

    Args:
        kind: `int8` or `int16`, symmetric about zero; `uint16` for rows without negative values.
    """
    largest = np.abs(rows).max(axis=tuple(range(1, rows.ndim)), initial=0.0)
    scale = np.where(largest > 0, largest / np.iinfo(kind).max, 1.0).astype(np.float32)
    steps = np.rint(rows / scale.reshape(-1, *[1] * (rows.ndim - 1)))
    limits = np.iinfo(kind)
    return Quantised(steps.clip(limits.min, limits.max).astype(kind), scale)


def pack(header: dict[str, Any], arrays: dict[str, np.ndarray | Quantised]) -> bytes:
    """One block of a header and arrays.

    Args:
        header: plain JSON; `arrays` is added to it.
        arrays: of the types that JavaScript has.
    """
    body, entries = bytearray(), {}
    for name, array in arrays.items():
        numbers = array.numbers if isinstance(array, Quantised) else array
        assert numbers.dtype.name in _TYPES, f"{name} is {numbers.dtype}"
        entries[name] = {"type": numbers.dtype.name, "shape": numbers.shape, "offset": len(body)}
        if isinstance(array, Quantised):
            entries[name]["scale"] = array.scale.tolist()
        body += _padded(np.ascontiguousarray(numbers).tobytes(), b"\0")
    text = json.dumps(header | {"arrays": entries}, allow_nan=False).encode()
    text += b" " * (-(4 + len(text)) % _ALIGN)
    return np.uint32(len(text)).tobytes() + text + bytes(body)


def _padded(data: bytes, filler: bytes) -> bytes:
    return data + filler * (-len(data) % _ALIGN)


def unpack(block: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The header and the arrays of `pack`, quantised ones as the values they stand for."""
    start = 4 + int(np.frombuffer(block, np.uint32, 1)[0])
    header = json.loads(block[4:start])
    arrays = {}
    for name, entry in header["arrays"].items():
        count = int(np.prod(entry["shape"]))
        numbers = np.frombuffer(block, entry["type"], count, start + entry["offset"])
        numbers = numbers.reshape(entry["shape"])
        if "scale" in entry:
            numbers = Quantised(numbers, np.array(entry["scale"], np.float32)).values()
        arrays[name] = numbers
    return header, arrays
