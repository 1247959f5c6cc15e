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

from avatar.base.errors import Busy, UserError
from avatar.data import jpeg, layout
from avatar.data.layout import IMAGE, Tables
from avatar.data.reader import AlphaStore, FrameStore
from avatar.data.writer import create
from tests.unit.avatar.data.stores import flip, images, tables, write_store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_store(tmp_path / "store.h5")


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
        "import resource, sys; from avatar.data import reader\n"
        f"{line}\nstore = reader.FrameStore(sys.argv[1])\n"
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
    left_alone = faults(tmp_path / "s.h5", "reader.keep_freed_memory = lambda *sizes: None")
    assert left_alone > 20 * 100


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
        file.attrs["attributes_crc32"] = layout.attributes_crc32(file.attrs)


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


def rewritten(path: Path, name: str, array: np.ndarray) -> Path:
    """The same file with another array under a name, checksummed as the writer does it."""
    with h5py.File(path, "a") as file:
        del file[name]
        file.create_dataset(name, data=array, compression="gzip", shuffle=True, fletcher32=True)
    return path


@pytest.mark.fault("H8")
def test_a_store_that_another_program_writes_is_busy(path: Path) -> None:
    code = "import h5py, sys; f = h5py.File(sys.argv[1], 'r+'); print(1, flush=True); input()"
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        program.stdout.readline()
        with pytest.raises(Busy, match=r"store\.h5 is in use by another process"):
            FrameStore(path)
        program.communicate(b"\n")
    FrameStore(path).close()


@pytest.mark.fault("H13")
@pytest.mark.parametrize("name", ["../../up", "/tmp", "a\nb"])
def test_a_store_with_names_that_lead_elsewhere_is_not_opened(path: Path, name: str) -> None:
    rewritten(path, "timesteps/sequence", np.array(["calm", "calm", name]).astype("S"))
    with pytest.raises(UserError, match=r"store\.h5: sequence name .* is not allowed"):
        FrameStore(path)


@pytest.mark.fault("M14")
@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("frames/image_offset", lambda a: a[[0, 2, 1, 3, 4, 5]], "does not fit its offsets"),
        ("frames/image_offset", lambda a: a + 1, "does not fit its offsets"),
        ("frames/image_offset", lambda a: np.r_[a[:-1], a[-1] + 10**9], "fit its offsets"),
        ("frames/image_offset", lambda a: a - 10**9, "does not fit its offsets"),
        (
            "frames/image_offset",
            lambda a: a[:-1],
            r"offset has shape \(5,\), expected \(6,\)",
        ),
        ("frames/image_offset", lambda a: a.astype(float), "image_offset is float64"),
        ("frames/image_crc32", lambda a: a[:, None], "image_crc32 has shape"),
        ("frames/image_crc32", lambda a: a[::-1], "does not match its checksum"),
        ("blobs/image", lambda a: a, "it is not bytes in pieces"),
    ],
)
def test_places_of_frames_that_cannot_be_are_refused(
    path: Path, name: str, change: Callable[[np.ndarray], np.ndarray], message: str
) -> None:
    with h5py.File(path) as file:
        array = file[name][()]
    rewritten(path, name, change(array))
    with FrameStore(path) as frames, pytest.raises(UserError, match=message):
        frames.image(0)


@pytest.mark.fault("M14")
@pytest.mark.parametrize("name", ["frames/image_crc32", "frames/image_offset", "blobs/image"])
def test_frames_without_their_checksums_are_refused(path: Path, name: str) -> None:
    with h5py.File(path, "a") as file:
        del file[name]
    with FrameStore(path) as frames, pytest.raises(UserError, match=f"{name} is missing"):
        frames.image(0)


@pytest.mark.fault("M14")
def test_a_blob_of_another_file_is_not_read(path: Path, tmp_path: Path) -> None:
    write_store(tmp_path / "other.h5")
    with h5py.File(path, "a") as file:
        del file["blobs/image"]
        file["blobs/image"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/blobs/image")
    with FrameStore(path) as frames, pytest.raises(UserError, match="link to another place"):
        frames.image(0)


@pytest.mark.fault("M14")
def test_an_image_of_another_size_is_refused(path: Path) -> None:
    rewritten(path, "cameras/size", np.array([[20, 16], [2000, 1600]]))
    with FrameStore(path) as frames:
        frames.image(0)
        message = r"image of frame 2 \(sequence calm .*\) is RGB of \(20, 16\), expected"
        with pytest.raises(UserError, match=message):
            frames.image(2)
