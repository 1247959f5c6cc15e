from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from avatar import dataset
from avatar.dataset import ALPHA, IMAGE, AlphaStore, FrameStore, Tables, create, verify
from avatar.errors import UserError

SIZE = (20, 16)  # width, height


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


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "store.h5"
    with create(path) as writer:
        for image in images(5):
            writer.append(IMAGE, dataset.encode_image(image))
            writer.append(ALPHA, dataset.encode_alpha(image[..., 0]))
        writer.write_tables(tables())
        writer.write_attributes({"note": "grüße " * 20000})
    return path


def test_what_is_written_is_read_by_row(path: Path) -> None:
    with FrameStore(path) as frames, AlphaStore(path) as alphas:
        assert len(frames) == 5
        for row, image in enumerate(images(5)):
            assert np.abs(frames.image(row).astype(int) - image).max() <= 8
            np.testing.assert_array_equal(alphas.alpha(row), image[..., 0])
        for name, value in vars(tables()).items():
            np.testing.assert_array_equal(getattr(frames, name), value)
        assert [[frames.row(t, c) for c in (0, 1)] for t in range(3)] == [[0, 2], [1, 3], [4, -1]]
        assert frames.attrs["note"] == "grüße " * 20000
        assert frames.describe(3) == "sequence calm index 1 camera b"


def test_images_keep_their_colours_at_full_resolution() -> None:
    """4:4:4: two colours side by side do not bleed into each other."""
    image = np.zeros((16, 16, 3), np.uint8)
    image[:, ::2], image[:, 1::2] = (200, 40, 40), (40, 40, 200)
    read = dataset.decode_image(np.frombuffer(dataset.encode_image(image), np.uint8))
    assert np.abs(read.astype(int) - image).mean() < 8


def test_a_failed_block_leaves_nothing(tmp_path: Path) -> None:
    def write() -> None:
        with create(tmp_path / "a.h5") as writer:
            writer.append(IMAGE, b"half")
            raise RuntimeError("midway")

    with pytest.raises(RuntimeError, match="midway"):
        write()
    assert list(tmp_path.iterdir()) == []


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


def test_one_flipped_bit_in_any_dataset_is_found(path: Path) -> None:
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    places = extents(path)
    assert len(places) == 13
    for name, chunks in places.items():
        for _ in range(6):
            start, size = chunks[random.integers(len(chunks))]
            flip(path, start + int(random.integers(size)), int(random.integers(8)))
            with pytest.raises(UserError, match=name if "blobs" not in name else "of frame"):
                verify(path)
            path.write_bytes(whole)
    verify(path)


def test_a_flipped_attribute_is_found(path: Path) -> None:
    place = path.read_bytes().index("grüße".encode()) + 1
    flip(path, place, 0)
    with pytest.raises(UserError, match="attributes are damaged"):
        FrameStore(path)


def test_a_damaged_frame_is_named_and_the_others_are_read(path: Path) -> None:
    with h5py.File(path) as file:
        start = file["blobs/image"].id.get_chunk_info(0).byte_offset
        begin = int(file["frames/image_offset"][3])
    flip(path, start + begin + 7, 2)
    with FrameStore(path) as frames:
        frames.image(2)
        with pytest.raises(UserError, match=r"image of frame 3 .sequence calm index 1 camera b"):
            frames.image(3)


def other_version(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["schema_version"] = 999
        file.attrs["attributes_crc32"] = dataset._attributes_crc32(file)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.write_bytes(b"no HDF5 at all"), "damaged or no HDF5 file"),
        (lambda path: h5py.File(path, "w").close(), "not a file of headsplat"),
        (other_version, "schema_version is 999, expected 1"),
    ],
)
def test_a_file_of_something_else_is_refused(
    tmp_path: Path, write: Callable[[Path], object], message: str
) -> None:
    write(tmp_path / "a.h5")
    with pytest.raises(UserError, match=message):
        FrameStore(tmp_path / "a.h5")


def test_a_channel_that_is_not_there_is_named(tmp_path: Path) -> None:
    with create(tmp_path / "a.h5") as writer:
        for image in images(5):
            writer.append(IMAGE, dataset.encode_image(image))
        writer.write_tables(tables())
    with (
        AlphaStore(tmp_path / "a.h5") as alphas,
        pytest.raises(UserError, match="/frames/alpha_offset is missing"),
    ):
        alphas.alpha(0)


def test_many_blobs_are_found_again(tmp_path: Path) -> None:
    """More than a piece, of sizes that straddle its borders."""
    random = np.random.default_rng(0)
    blobs = [random.bytes(int(size)) for size in random.integers(1, 40000, 40)]
    count = len(blobs)
    assert sum(map(len, blobs)) > 4 * dataset._PIECE
    with create(tmp_path / "a.h5") as writer:
        for blob in blobs:
            writer.append(IMAGE, blob)
        rows = np.arange(count)
        writer.write_tables(
            Tables(["0"], np.array([SIZE]), np.full(count, "main"), rows, rows / 25, 0 * rows, rows)
        )
    with FrameStore(tmp_path / "a.h5") as frames:
        assert all(frames.blob(IMAGE, k).tobytes() == blobs[k] for k in random.permutation(count))
