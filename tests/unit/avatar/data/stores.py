"""Small stores for tests, and bits that flip in them."""

from pathlib import Path

import h5py
import numpy as np

from avatar.data import jpeg, png
from avatar.data.layout import ALPHA, IMAGE, Tables
from avatar.data.writer import create
from tests.subject import Subject

SIZE = (20, 16)  # width, height


def packed(folder: Path) -> Path:
    """A whole dataset.h5 of a toy subject, as `pack` writes it."""
    subject = Subject(folder)
    subject.pack()
    return subject.home / "dataset.h5"


def images(count: int) -> list[np.ndarray]:
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    return [
        np.stack([x * 9, y * 9, np.full_like(x, 20 * k)], 2).astype(np.uint8) for k in range(count)
    ]


def tables() -> Tables:
    """Two sequences of two and one timesteps, two cameras; camera b lacks the last timestep."""
    return Tables(
        camera_ids=["a", "b"],
        sizes=np.array([SIZE, SIZE]),
        sequence=np.array(["calm", "calm", "talk"]),
        index=np.array([0, 1, 0]),
        time=np.array([0.0, 0.04, 0.0]),
        camera=np.array([0, 0, 1, 1, 0]),
        timestep=np.array([0, 1, 0, 1, 2]),
    )


def write_store(path: Path) -> Path:
    """Images and alphas of `tables`, and a long attribute."""
    with create(path) as writer:
        for image in images(5):
            writer.append(IMAGE, jpeg.encode(image))
            writer.append(ALPHA, png.encode(image[..., 0]))
        writer.write_tables(tables())
        writer.write_attributes({"note": "grüße " * 20000})
    return path


def flip(path: Path, position: int, bit: int) -> None:
    with open(path, "r+b") as file:
        file.seek(position)
        value = file.read(1)[0]
        file.seek(position)
        file.write(bytes([value ^ 1 << bit]))


def extents(path: Path) -> dict[str, list[tuple[int, int]]]:
    """Where each dataset's bytes lie in the file: (first byte, number of used bytes)."""
    found: dict[str, list[tuple[int, int]]] = {}

    def visit(name: str, item: h5py.Dataset | h5py.Group) -> None:
        if isinstance(item, h5py.Dataset):
            chunks = [item.id.get_chunk_info(k) for k in range(item.id.get_num_chunks())]
            found[name] = [
                (c.byte_offset, min(c.size, item.nbytes) if "blobs" in name else c.size)
                for c in chunks
            ]

    with h5py.File(path) as file:
        file.visititems(visit)
    return found
