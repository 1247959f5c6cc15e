import gc
import subprocess
import sys
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import torch

from avatar.base.errors import UserError
from avatar.data.cameras import Cameras
from avatar.data.dataset import Dataset
from avatar.data.frames import AHEAD, FrameFeed, FrameOrder, camera_tensors, composite, over
from avatar.data.layout import ALPHA, IMAGE, TRAIN
from tests.rigs import toy_rig
from tests.scenes import ring_of_cameras, write_scene


@dataclass
class Memory:
    """Frames in memory: red is the row's number, modulo 256; alpha is the row's number x 8."""

    cameras: Cameras
    camera: np.ndarray
    timestep: np.ndarray
    asked: list[int] = field(default_factory=list)
    alive: set[int] = field(default_factory=set)  # ids of images that something still holds
    most_alive: int = 0

    def image(self, row: int) -> np.ndarray:
        width, height = self.cameras.sizes[self.camera[row]]
        image = np.zeros((height, width, 3), np.uint8)
        image[..., 0] = row % 256
        image[..., 1] = np.arange(width) * 4
        number = len(self.asked)
        self.alive.add(number)
        weakref.finalize(image, self.alive.discard, number)
        self.most_alive = max(self.most_alive, len(self.alive))
        self.asked.append(row)
        return image

    def alpha(self, row: int) -> np.ndarray:
        width, height = self.cameras.sizes[self.camera[row]]
        return np.full((height, width), row * 8 % 256, np.uint8)


def _memory(cameras: int = 3, steps: int = 5, size: int = 16) -> Memory:
    views = ring_of_cameras(cameras, size)
    return Memory(views, np.repeat(np.arange(cameras), steps), np.tile(np.arange(steps), cameras))


def _epoch(order: FrameOrder, epoch: int = 0) -> list[np.ndarray]:
    first = epoch * order.steps_per_epoch
    return [order.rows(step) for step in range(first, first + order.steps_per_epoch)]


def test_an_epoch_shows_every_frame_and_a_group_one_timestep() -> None:
    source = _memory(cameras=4, steps=6)
    order = FrameOrder(source, np.arange(24), timesteps=3, views=2, seed=0)
    steps = _epoch(order)
    assert [rows.shape for rows in steps] == [(3, 2)] * 4
    assert Counter(np.concatenate(steps).ravel().tolist()) == dict.fromkeys(range(24), 1)
    for rows in steps:
        assert (source.timestep[rows] == source.timestep[rows][:, :1]).all()


def test_short_groups_are_filled_and_nothing_is_left_out() -> None:
    source = _memory(cameras=3, steps=5)
    order = FrameOrder(source, np.arange(14), timesteps=4, views=2, seed=0)  # one frame missing
    steps = _epoch(order)
    assert [rows.shape for rows in steps] == [(4, 2)] * 3
    assert set(np.concatenate(steps).ravel()) == set(range(14))


def test_the_order_follows_from_seed_and_step_alone() -> None:
    source = _memory()
    one, two, other = (FrameOrder(source, np.arange(15), 2, 2, seed) for seed in (3, 3, 4))
    late = two.rows(23)
    walked = [one.rows(step) for step in range(24)][-1]
    assert np.array_equal(late, walked)
    assert not np.array_equal(np.stack(_epoch(one)), np.stack(_epoch(other)))
    assert not np.array_equal(np.stack(_epoch(one)), np.stack(_epoch(one, 1)))


class CountingOrder(FrameOrder):
    """Remembers which epochs it dealt."""

    dealt: tuple[int, ...] = ()

    def _deal(self, epoch: int) -> list[np.ndarray]:
        self.dealt += (epoch,)
        return super()._deal(epoch)


def test_an_epoch_is_dealt_once_though_the_feed_looks_ahead() -> None:
    order = CountingOrder(_memory(steps=12), np.arange(36), 2, 2, seed=0)
    assert order.steps_per_epoch > AHEAD
    for step in range(2 * order.steps_per_epoch):
        for later in range(step, step + AHEAD + 1):
            order.rows(later)
    assert order.dealt == (0, 1, 2)


def test_frames_of_different_sizes_never_share_a_step() -> None:
    source = _memory(cameras=3, steps=4)
    source.cameras.sizes[1] = 20
    steps = _epoch(FrameOrder(source, np.arange(12), 2, 2, seed=0))
    for rows in steps:
        assert len(np.unique(source.cameras.sizes[source.camera[rows]].reshape(-1, 2), axis=0)) == 1
    assert set(np.concatenate([rows.ravel() for rows in steps])) == set(range(12))


@pytest.mark.parametrize(("cameras", "shape"), [(1, (8, 1)), (3, (2, 3)), (4, (2, 4))])
def test_timesteps_make_up_for_missing_cameras(cameras: int, shape: tuple[int, int]) -> None:
    source = _memory(cameras=cameras, steps=5)
    order = FrameOrder(source, np.arange(5 * cameras), timesteps=2, views=4, seed=0)
    steps = _epoch(order)
    assert {rows.shape for rows in steps} == {shape}
    assert set(np.concatenate(steps).ravel()) == set(range(5 * cameras))


def test_compositing_by_hand() -> None:
    image = np.full((1, 1, 3), 255, np.uint8)
    alpha = np.full((1, 1), 51, np.uint8)  # a fifth
    got = composite(image, alpha, np.array([0.0, 0.5, 1.0], np.float32))
    assert got[0, 0].tolist() == pytest.approx([0.2, 0.6, 1.0])


def test_any_device_composites_as_the_cpu_does() -> None:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (2, 9, 7, 3), np.uint8)
    alphas = random.integers(0, 256, (2, 9, 7), np.uint8)
    behind = random.random((2, 3), np.float32)
    got, covers = over(*(torch.from_numpy(v) for v in (images, alphas, behind)))
    for place, image in enumerate(got):
        expected = composite(images[place], alphas[place], behind[place])
        np.testing.assert_allclose(image.numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(covers[..., 0].numpy(), alphas / 255, atol=1e-7)


@pytest.mark.gpu
def test_frames_for_a_gpu_are_there_and_the_same() -> None:
    source = _memory(cameras=4, steps=6)
    order = FrameOrder(source, np.arange(24), 2, 2, seed=0)
    here, there = (FrameFeed(source, order, 0, 1, device) for device in ("cpu", "cuda"))
    for step in range(3):
        pairs = zip(here.at(step, _behind(step)), there.at(step, _behind(step)), strict=True)
        for ours, theirs in pairs:
            assert theirs.device.type == "cuda"
            torch.testing.assert_close(theirs.cpu(), ours, atol=1e-6, rtol=0)


def _feed(source: Memory | Dataset, budget_mib: int = 0, shrink: int = 1) -> FrameFeed:
    """Steps of two timesteps and two views, over all training frames."""
    rows = source.rows(TRAIN) if isinstance(source, Dataset) else np.arange(len(source.camera))
    return FrameFeed(source, FrameOrder(source, rows, 2, 2, seed=0), budget_mib, shrink)


def _behind(step: int) -> np.ndarray:
    return np.random.default_rng(step).random((2, 2, 3)).astype(np.float32)


def _wait_for(condition: Callable[[], bool]) -> bool:
    """Whether a condition becomes true in the threads' own time."""
    until = time.monotonic() + 20
    while not condition() and time.monotonic() < until:
        time.sleep(0.002)
    return condition()


def test_a_step_gets_its_frames_over_their_backgrounds() -> None:
    source = _memory()
    feed, order = _feed(source), FrameOrder(source, np.arange(15), 2, 2, seed=0)
    for step in (0, 1, 2, 17, 5):  # in order, and after jumps
        images, alphas = feed.at(step, _behind(step))
        assert images.shape == (2, 2, 16, 16, 3)
        assert alphas.shape == (2, 2, 16, 16, 1)
        for place, row in np.ndenumerate(order.rows(step)):
            expected = composite(source.image(row), source.alpha(row), _behind(step)[place])
            assert np.array_equal(images[place].numpy(), expected)
            assert np.allclose(alphas[place].numpy()[..., 0] * 255, source.alpha(row))


@pytest.mark.parametrize("budget", [0, 1, 8])
def test_the_budget_changes_memory_and_work_but_no_bit(budget: int) -> None:
    source = _memory(cameras=3, steps=7, size=256)  # 21 frames of 1/4 MiB each; an epoch: 6 steps
    feed, plain = _feed(source, budget), _feed(_memory(cameras=3, steps=7, size=256))
    for step in range(15):
        images, alphas = feed.at(step, _behind(step))
        expected = plain.at(step, _behind(step))
        assert torch.equal(images, expected.images)
        assert torch.equal(alphas, expected.alphas)
    assert source.most_alive <= 4 * budget + 4 * (AHEAD + 1)
    feed.close()
    most_often = max(Counter(source.asked).values())
    assert most_often == 1 if budget == 8 else most_often > 1


def test_the_coming_steps_are_decoded_without_being_asked_for_and_no_further() -> None:
    source = _memory(cameras=3, steps=40)
    feed, order = _feed(source), FrameOrder(source, np.arange(120), 2, 2, seed=0)
    feed.at(0, _behind(0))
    coming = np.concatenate([order.rows(step).ravel() for step in range(AHEAD + 1)])
    assert _wait_for(lambda: len(source.asked) == len(coming))
    assert source.asked[:4] == coming[:4].tolist()
    feed.close()  # whatever else had been started would be done or never be
    assert sorted(source.asked) == sorted(coming)


def test_a_frame_that_several_coming_steps_share_is_decoded_once() -> None:
    source = _memory(cameras=1, steps=3)  # an epoch: two steps, one frame repeated to fill them
    feed = _feed(source)
    for step in range(10):
        feed.at(step, _behind(step)[:, :1])
    feed.close()
    assert sorted(source.asked) == [0, 1, 2]


def _damage(path: Path, channel: str, row: int) -> None:
    """Flip a bit in the middle of a frame's bytes."""
    with h5py.File(path) as file:
        start, stop = file[f"frames/{channel}_offset"][row : row + 2]
        blobs = file[f"blobs/{channel}"]
        chunk, within = divmod(int(start + stop) // 2, blobs.chunks[0])
        place = blobs.id.get_chunk_info(chunk).byte_offset + within
    with open(path, "r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 4]))


@pytest.mark.parametrize("channel", [IMAGE, ALPHA])
@pytest.mark.parametrize("budget", [0, 8])
def test_a_damaged_frame_stops_the_step_that_needs_it(
    channel: str, budget: int, tmp_path: Path
) -> None:
    path = write_scene(tmp_path / "dataset.h5", toy_rig())
    with Dataset(path) as whole:
        order = FrameOrder(whole, whole.rows(TRAIN), 2, 2, seed=0)
    bad = 2  # decoded ahead by every step before
    row = int(order.rows(bad)[0, 1])
    good = [step for step in range(6) if row not in order.rows(step)]
    _damage(path, channel, row)
    with Dataset(path) as dataset:
        feed = _feed(dataset, budget)
        for step in good[:bad]:
            feed.at(step, _behind(step))
        with pytest.raises(UserError, match=rf"{channel} of frame {row} \(sequence a index"):
            feed.at(bad, _behind(bad))
        for step in good[bad:]:
            feed.at(step, _behind(step))
        feed.close()


def _threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("frames")]


def test_threads_end_with_the_feed() -> None:
    gc.collect()
    assert _wait_for(lambda: not _threads())
    feed = _feed(_memory())
    feed.at(0, _behind(0))
    assert _threads()
    feed.close()
    assert not _threads()
    dropped = _feed(_memory())
    dropped.at(0, _behind(0))
    del dropped
    gc.collect()
    assert _wait_for(lambda: not _threads())


def test_a_feed_left_open_does_not_keep_the_program_alive() -> None:
    program = (
        "from tests.unit.avatar.data.test_frames import _behind, _feed, _memory, _threads\n"
        "feed = _feed(_memory(cameras=3, steps=40))\n"
        "feed.at(0, _behind(0))\n"
        "print(len(_threads()), flush=True)\n"
        "raise SystemExit(3)\n"
    )
    root = Path(__file__).parents[4]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, timeout=120, capture_output=True, text=True
    )
    assert int(done.stdout) > 0
    assert (done.returncode, done.stderr) == (3, "")


def test_half_size_frames_meet_half_size_cameras() -> None:
    source = _memory()
    behind = np.zeros((2, 2, 3), np.float32)
    half, half_alpha = (v[0, 1].numpy() for v in _feed(source, shrink=2).at(3, behind))
    full, full_alpha = (v[0, 1].numpy() for v in _feed(source).at(3, behind))
    assert np.abs(half - cv2.resize(full, (8, 8), interpolation=cv2.INTER_AREA)).max() < 0.01
    assert np.array_equal(half_alpha, full_alpha[::2, ::2])  # the same everywhere in a frame
    _, K, width, height = camera_tensors(source.cameras, np.array([0]))
    _, half_K, *half_size = camera_tensors(source.cameras, np.array([0]), shrink=2)
    assert half_size == [width // 2, height // 2]
    point = torch.tensor([0.1, -0.2, 1.0])
    torch.testing.assert_close(2 * (half_K[0] @ point)[:2], (K[0] @ point)[:2])
