import multiprocessing
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image

from avatar.base.errors import UserError
from avatar.data import dataset, jpeg
from avatar.data.dataset import (
    ALPHA,
    IMAGE,
    TRAIN,
    AlphaStore,
    Dataset,
    FrameStore,
    Tables,
    create,
    verify,
)
from avatar.data.frames import FrameFeed, FrameOrder
from avatar.data.tools import main
from avatar.data.torch_frames import TorchFrames
from tests.subject import Subject

SIZE = (20, 16)  # width, height


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """A whole dataset.h5 of a toy subject, as `pack` writes it."""
    subject = Subject(tmp_path)
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


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "store.h5"
    with create(path) as writer:
        for image in images(5):
            writer.append(IMAGE, jpeg.encode(image))
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


def faults(path: Path, line: str) -> int:
    """Pages that a fresh process fetches for twenty reads of a frame, after forty."""
    code = (
        "import resource, sys; from avatar.data import dataset\n"
        f"{line}\nstore = dataset.FrameStore(sys.argv[1])\n"
        "def read(n): [store.image(0) for _ in range(n)]; "
        "return resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "print(-read(40) + read(20))"
    )
    command = [sys.executable, "-c", code, str(path)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def test_reading_frames_fetches_no_pages_anew(tmp_path: Path) -> None:
    """An image of 512 x 512 lies in 192 pages; each read makes some copies of it."""
    one = np.array([0])
    with create(tmp_path / "s.h5") as writer:
        writer.append(IMAGE, jpeg.encode(np.full((512, 512, 3), 90, np.uint8)))
        writer.write_tables(
            Tables(["a"], np.array([[512, 512]]), np.array(["s"]), one, one / 1.0, one, one)
        )
    assert faults(tmp_path / "s.h5", "") < 20
    left_alone = faults(tmp_path / "s.h5", "dataset.keep_freed_memory = lambda *sizes: None")
    assert left_alone > 20 * 100


def test_images_keep_their_colours_at_full_resolution() -> None:
    """4:4:4: two colours side by side do not bleed into each other."""
    image = np.zeros((16, 16, 3), np.uint8)
    image[:, ::2], image[:, 1::2] = (200, 40, 40), (40, 40, 200)
    read = jpeg.decode(np.frombuffer(jpeg.encode(image), np.uint8))
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


TRIALS = 200


def test_one_flipped_bit_in_any_dataset_is_found(packed: Path) -> None:
    """200 random bits, every dataset of dataset.h5 in turn."""
    whole = packed.read_bytes()
    random = np.random.default_rng(0)
    places = list(extents(packed).items())
    assert len(places) >= 28
    for trial in range(TRIALS):
        name, chunks = places[trial % len(places)]
        start, size = chunks[random.integers(len(chunks))]
        flip(packed, start + int(random.integers(size)), int(random.integers(8)))
        with pytest.raises(UserError, match=name if "blobs" not in name else "of frame"):
            verify(packed)
        packed.write_bytes(whole)
    verify(packed)


def test_a_flipped_bit_anywhere_is_found_or_harmless(packed: Path) -> None:
    """Structure and unused bytes too: whatever verify lets pass reads as it was written."""
    whole = packed.read_bytes()
    random = np.random.default_rng(1)
    with Dataset(packed) as data:
        expected = [data.image(row) for row in range(len(data))]
        split, expr = data.split, data.params.expr
    found = 0
    for _ in range(60):
        flip(packed, int(random.integers(len(whole))), int(random.integers(8)))
        try:
            verify(packed)
        except UserError:
            found += 1
        else:
            with Dataset(packed) as data:
                np.testing.assert_array_equal([data.image(r) for r in range(len(data))], expected)
                np.testing.assert_array_equal(data.split, split)
                np.testing.assert_array_equal(data.params.expr, expr)
        packed.write_bytes(whole)
    assert found >= 3  # most of so small a file is unused room


def test_no_damaged_frame_reaches_training(packed: Path) -> None:
    """Opening or reading fails for a flip in whatever a frame consists of."""
    whole = packed.read_bytes()
    random = np.random.default_rng(2)
    for channel in (IMAGE, ALPHA):
        for name in (f"blobs/{channel}", f"frames/{channel}_crc32", f"frames/{channel}_offset"):
            for _ in range(5):
                start, size = extents(packed)[name][0]
                flip(packed, start + int(random.integers(size)), int(random.integers(8)))
                with pytest.raises(UserError, match="checksum"):
                    _feed_all(packed)
                packed.write_bytes(whole)


def _feed_all(path: Path) -> None:
    """Every frame once, as training gets them."""
    with Dataset(path) as data:
        order = FrameOrder(data, np.arange(len(data)), 1, 1, seed=0)
        feed = FrameFeed(data, order, budget_mib=100)
        for step in range(order.steps_per_epoch):
            feed.at(step, np.zeros((1, 1, 3), np.float32))


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
            writer.append(IMAGE, jpeg.encode(image))
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


def crcs(store: FrameStore, rows: list[int]) -> list[int]:
    return [int(store.image(row).astype(np.int64).sum()) for row in rows]


def read_in_child(
    store: FrameStore, rows: list[int], queue: "multiprocessing.Queue[object]"
) -> None:
    queue.put(crcs(store, rows))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_read_side_by_side(path: Path, method: str) -> None:
    """A store opened before is read in four children and here at once, in any order."""
    context = multiprocessing.get_context(method)
    random = np.random.default_rng(0)
    with FrameStore(path) as frames:
        expected = crcs(frames, list(range(5)))
        assert len(set(expected)) == 5
        orders = [
            random.integers(5, size=50).tolist() for _ in range(2 if method == "spawn" else 4)
        ]
        queues = [context.Queue() for _ in orders]
        children = [
            context.Process(target=read_in_child, args=(frames, order, queue))
            for order, queue in zip(orders, queues, strict=True)
        ]
        for child in children:
            child.start()
        here = random.integers(5, size=200).tolist()
        assert crcs(frames, here) == [expected[row] for row in here]
        for order, queue, child in zip(orders, queues, children, strict=True):
            assert queue.get(timeout=60) == [expected[row] for row in order]
            child.join()


def test_threads_read_side_by_side(path: Path) -> None:
    order = np.random.default_rng(0).integers(5, size=200).tolist()
    with FrameStore(path) as frames, ThreadPoolExecutor(4) as pool:
        expected = crcs(frames, order)
        read = pool.map(lambda row: crcs(frames, [row])[0], order)
        assert list(read) == expected


def test_a_closed_store_leaves_no_file_open(path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with FrameStore(path) as frames:
            copy = pickle.loads(pickle.dumps(frames))
            copy.image(0)
            copy.close()
        frames.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_part_of_a_frame_keeps_its_camera(packed: Path) -> None:
    """A point of the world falls on the same spot of the cropped, enlarged picture."""
    with Dataset(packed) as data:
        whole = data.frame(1, 1)
        part = data.frame(1, 1, window=(2, 3, 8, 4), scale=2.5)
        np.testing.assert_array_equal(whole.image, data.image(data.row(1, 1)))
        np.testing.assert_array_equal(whole.alpha, data.alpha(data.row(1, 1)))
        np.testing.assert_array_equal(data.frame(1, 1, (2, 3, 8, 4)).image, whole.image[3:7, 2:10])
        assert part.image.shape == (10, 20, 3)
        assert part.alpha.shape == (10, 20)
        point = np.array([0.02, -0.03, 0.9])
        (x, y, z), (u, v, w) = whole.K @ point, part.K @ point
        np.testing.assert_allclose([u / w, v / w], [(x / z - 2) * 2.5, (y / z - 3) * 2.5])
        np.testing.assert_array_equal(part.viewmat, data.cameras.viewmats[1])
        for window in ((0, 0, 13, 8), (-1, 0, 4, 4), (0, 0, 0, 4)):
            with pytest.raises(UserError, match="expected a part of it"):
                data.frame(0, 0, window)


def test_a_frame_that_is_not_there_is_named(path: Path) -> None:
    with create(path.parent / "d.h5") as writer:
        for image in images(5):
            writer.append(IMAGE, jpeg.encode(image))
            writer.append(ALPHA, dataset.encode_alpha(image[..., 0]))
        writer.write_tables(tables())
        writer.write_arrays("frames", {"split": np.zeros(5, np.uint8)})
        writer.write_arrays("timesteps", {"valid": np.ones(3, bool)})
    with (
        Dataset(path.parent / "d.h5") as data,
        pytest.raises(UserError, match="camera b has no frame at timestep 2"),
    ):
        data.frame(2, 1)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_data_loader_reads_in_its_workers(packed: Path, method: str) -> None:
    frames = TorchFrames(packed, TRAIN, window=(0, 0, 8, 8), scale=0.5)
    loader = torch.utils.data.DataLoader(
        frames, batch_size=2, num_workers=1, multiprocessing_context=method
    )
    batches = list(loader)
    assert sum(len(batch["image"]) for batch in batches) == len(frames) > 0
    assert batches[0]["image"].shape == (2, 4, 4, 3)
    assert batches[0]["alpha"].shape == (2, 4, 4)
    for batch, first in zip(batches, range(0, len(frames), 2), strict=True):
        torch.testing.assert_close(batch["image"][0], frames[first]["image"])
        assert batch["timestep"][0] == frames[first]["timestep"]


def test_the_command_line(packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(packed)]) == 0
    assert "every byte matches" in capsys.readouterr().out
    assert main(["info", str(packed)]) == 0
    shown = capsys.readouterr().out
    assert "8 frames" in shown
    assert "camera c1: 12 x 8, 4 frames" in shown
    assert "splits: train 6, val 0, test 2, unused 0" in shown
    assert main(["export", str(packed), str(tmp_path / "out")]) == 0
    with Dataset(packed) as data:
        file = tmp_path / "out/main/cam_c1/image/000002.jpg"
        assert file.read_bytes() == data.blob(IMAGE, data.row(2, 1)).tobytes()
    listing = (tmp_path / "out/frames.csv").read_text().splitlines()
    assert listing[0] == "sequence,index,time,camera,split,file"
    assert listing[7] == "main,2,0.08,c1,train,main/cam_c1/image/000002.jpg"
    assert len(listing) == 9
    assert main(["export", str(packed), str(tmp_path / "out")]) == 2
    flip(packed, extents(packed)["blobs/image"][0][0] + 3, 1)
    assert main(["verify", str(packed)]) == 2
    assert "image of frame 0" in capsys.readouterr().err


def test_cutouts_carry_no_old_background(tmp_path: Path) -> None:
    """A red disk filmed before green: laid over blue, its rim holds no green."""
    y, x = np.mgrid[:48, :48]
    cover = np.clip((20 - np.hypot(x - 24, y - 24)) / 4 + 0.5, 0, 1)[..., None]
    image = np.rint(cover * [200, 30, 30] + (1 - cover) * [20, 220, 20]).astype(np.uint8)
    alpha = np.rint(255 * cover[..., 0]).astype(np.uint8)
    subject = Subject(tmp_path)
    subject.pack()
    with Dataset(subject.home / "dataset.h5") as old, create(tmp_path / "d.h5") as writer:
        for _ in range(len(old)):
            writer.append(IMAGE, jpeg.encode(image))
            writer.append(ALPHA, dataset.encode_alpha(alpha))
        writer.write_tables(old.tables)
        for group, names in (
            ("cameras", ["K", "viewmat"]),
            ("timesteps", ["valid"]),
            ("frames", ["split"]),
            ("rig", old.arrays("rig")),
        ):
            writer.write_arrays(group, {name: old.array(group, name) for name in names})
        writer.write_attributes({name: str(old.attrs[name]) for name in ("rig", "rig_sha256")})
    assert main(["export", str(tmp_path / "d.h5"), str(tmp_path / "out"), "--cutouts"]) == 0
    cutout = np.asarray(Image.open(tmp_path / "out/main/cam_c1/cutout/000002.png"))
    assert cutout.shape == (48, 48, 4)
    np.testing.assert_array_equal(cutout[..., 3], alpha)
    rim = (alpha > 40) & (alpha < 215)
    assert cutout[rim][:, 1].max() < 60  # green; 30 is the disk's own
    assert image[rim][:, 1].max() > 150
