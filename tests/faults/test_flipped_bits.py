"""Bits of a file's structure: each flip is found by `verify`, or changes nothing to a reader."""

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from avatar.base.errors import UserError
from avatar.data import jpeg, png
from avatar.data.layout import ALPHA, IMAGE, REGION, Tables
from avatar.data.verify import verify
from avatar.data.writer import create

NOTE = "grüße " * 12_000  # long enough for the heap that has no checksum
TRIALS = 1000


def write(path: Path) -> None:
    """One frame, every kind of entry that a dataset has."""
    one = np.array([0])
    with create(path) as writer:
        grey = np.full((8, 8), 90, np.uint8)
        writer.append(IMAGE, jpeg.encode(np.dstack([grey] * 3)))
        writer.append(ALPHA, png.encode(grey))
        writer.append(REGION, png.encode(grey))
        writer.write_tables(
            Tables(["a"], np.array([[8, 8]]), np.array(["s"]), one, one / 1.0, one, one)
        )
        writer.write_arrays("frames", {"split": np.zeros(1, np.uint8)})
        writer.write_arrays("timesteps", {"valid": np.ones(1, bool)})
        writer.write_arrays("rig", {f"a{number}": np.ones(3) for number in range(10)})
        writer.write_attributes({"note": NOTE})


def structure(path: Path) -> np.ndarray:
    """Places of all bytes that belong to no array and no attribute's value."""
    data = path.read_bytes()
    free = np.ones(len(data), bool)
    start = data.index(NOTE.encode())
    free[start : start + len(NOTE.encode())] = False

    def visit(name: str, entry: h5py.Group | h5py.Dataset) -> None:
        if isinstance(entry, h5py.Dataset):
            for number in range(entry.id.get_num_chunks()):
                chunk = entry.id.get_chunk_info(number)
                free[chunk.byte_offset : chunk.byte_offset + chunk.size] = False

    with h5py.File(path) as file:
        file.visititems(visit)
    return np.flatnonzero(free)


def seen(path: Path) -> list[Any]:
    """What any program sees through h5py: names, kinds, shapes, filters, values, attributes."""
    found: list[Any] = []

    def attributes(entry: h5py.Group | h5py.Dataset) -> None:
        for name in entry.attrs:
            attribute = entry.attrs.get_id(name)
            about = h5py.h5a.get_info(entry.id, name.encode())
            kind = attribute.get_type().encode()
            found.append((name, about.cset, attribute.shape, kind, repr(entry.attrs[name])))

    def visit(name: str, entry: h5py.Group | h5py.Dataset) -> None:
        about = h5py.h5o.get_info(entry.id)
        found.append((name, about.type, about.rc))
        attributes(entry)
        if isinstance(entry, h5py.Dataset):
            plist = entry.id.get_create_plist()
            filters = [plist.get_filter(k) for k in range(plist.get_nfilters())]
            kind = entry.id.get_type().encode()
            found.append((entry.shape, entry.maxshape, entry.chunks, kind, filters))
            found.append((repr(entry.fillvalue), entry[()].tobytes()))

    with h5py.File(path) as file:
        attributes(file)
        file.visititems(visit)
    return found


@pytest.mark.fault("L8")
def test_no_flipped_bit_of_the_structure_goes_unseen(tmp_path: Path) -> None:
    path = tmp_path / "dataset.h5"
    write(path)
    whole, expected, places = path.read_bytes(), seen(path), structure(path)
    random = np.random.default_rng(0)
    found, silent = 0, []
    with open(path, "r+b", buffering=0) as file:
        for place in random.choice(places, TRIALS, replace=False).tolist():
            bit = int(random.integers(8))
            os.pwrite(file.fileno(), bytes([whole[place] ^ 1 << bit]), place)
            try:
                verify(path)
            except UserError:
                found += 1
            else:
                if not _same(path, expected):
                    silent.append((place, bit))
            os.pwrite(file.fileno(), whole[place : place + 1], place)
    verify(path)
    assert silent == []
    assert found > TRIALS / 2


def _same(path: Path, expected: list[Any]) -> bool:
    try:
        return seen(path) == expected
    except (OSError, RuntimeError, KeyError, ValueError):
        return False
