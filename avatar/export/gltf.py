"""A binary glTF 2.0 file: one skinned mesh with morph targets, and its animations.

Layout: Khronos, "glTF 2.0 Specification". What the numbers mean is the caller's matter
(`avatar.export.glb`); here they are put into one buffer and described in JSON.
"""

import json
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Num

from avatar.base import files

_COMPONENTS = {"float32": 5126, "uint32": 5125, "uint8": 5121}
_TYPES = {1: "SCALAR", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
ATTRIBUTES, INDICES = 34962, 34963  # what a buffer view is for, in WebGL's numbers


@dataclass
class Document:
    """A file that is being put together: the JSON's lists, and the binary buffer.

    Attributes:
        lists: `accessors`, `meshes`, `nodes` and the like, by name.
    """

    lists: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    _buffer: bytearray = field(default_factory=bytearray)

    def add(self, name: str, entry: dict[str, Any]) -> int:
        """Append to a list of the JSON; return the entry's index."""
        entries = self.lists.setdefault(name, [])
        entries.append(entry)
        return len(entries) - 1

    def add_array(
        self, array: Num[np.ndarray, "R *C"], target: int | None = None, bounds: bool = False
    ) -> int:
        """Append an array to the buffer; return the index of its accessor.

        Args:
            array: a row per element: float32, uint32 or uint8.
            target: `ATTRIBUTES` or `INDICES`; other data have none.
            bounds: state the least and greatest values, which positions and times need.
        """
        view = {"buffer": 0, "byteOffset": len(self._buffer), "byteLength": array.nbytes}
        if target is not None:
            view["target"] = target
        self._buffer += np.ascontiguousarray(array).tobytes()
        self._buffer += bytes(-len(self._buffer) % 4)
        rows = array.reshape(len(array), -1)
        accessor = {
            "bufferView": self.add("bufferViews", view),
            "componentType": _COMPONENTS[array.dtype.name],
            "count": len(rows),
            "type": _TYPES[rows.shape[1]],
        }
        if bounds:
            accessor |= {"min": rows.min(0).tolist(), "max": rows.max(0).tolist()}
        return self.add("accessors", accessor)

    def save(self, path: Path) -> None:
        """Write the file, atomically."""
        head = {"asset": {"version": "2.0", "generator": "headsplat"}, "scene": 0}
        buffers = {"buffers": [{"byteLength": len(self._buffer)}]}
        text = json.dumps(head | self.lists | buffers, allow_nan=False).encode()
        text += b" " * (-len(text) % 4)
        size = 12 + 8 + len(text) + 8 + len(self._buffer)
        with files.atomic(path) as temporary, open(temporary, "wb") as file:
            file.write(struct.pack("<4sII", b"glTF", 2, size))
            file.write(struct.pack("<I4s", len(text), b"JSON") + text)
            file.write(struct.pack("<I4s", len(self._buffer), b"BIN\0") + self._buffer)
