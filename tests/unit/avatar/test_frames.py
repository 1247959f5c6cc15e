from collections import Counter
from dataclasses import dataclass

import cv2
import numpy as np
import pytest
import torch

from avatar.cameras import Cameras
from avatar.frames import FrameCache, FrameOrder, camera_tensors, composite
from tests.scenes import ring_of_cameras


@dataclass
class Memory:
    """Frames in memory: red is the row's number, modulo 256; alpha 128."""

    cameras: Cameras
    camera: np.ndarray
    timestep: np.ndarray
    decoded: int = 0

    def image(self, row: int) -> np.ndarray:
        self.decoded += 1
        width, height = self.cameras.sizes[self.camera[row]]
        image = np.zeros((height, width, 3), np.uint8)
        image[..., 0] = row % 256
        image[..., 1] = np.arange(width) * 4
        return image

    def alpha(self, row: int) -> np.ndarray:
        return np.full(self.image(row).shape[:2], 128, np.uint8)


def _memory(cameras: int = 3, steps: int = 5) -> Memory:
    views = ring_of_cameras(cameras, size=16)
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


def test_frames_of_different_sizes_never_share_a_step() -> None:
    source = _memory(cameras=3, steps=4)
    source.cameras.sizes[1] = 20
    steps = _epoch(FrameOrder(source, np.arange(12), 2, 2, seed=0))
    for rows in steps:
        assert len(np.unique(source.cameras.sizes[source.camera[rows]].reshape(-1, 2), axis=0)) == 1
    assert set(np.concatenate([rows.ravel() for rows in steps])) == set(range(12))


def test_one_camera_gives_one_view() -> None:
    order = FrameOrder(_memory(cameras=1), np.arange(5), timesteps=2, views=4, seed=0)
    assert order.rows(0).shape == (2, 1)


def test_compositing_by_hand() -> None:
    image = np.full((1, 1, 3), 255, np.uint8)
    alpha = np.full((1, 1), 51, np.uint8)  # a fifth
    got = composite(image, alpha, np.array([0.0, 0.5, 1.0], np.float32))
    assert got[0, 0].tolist() == pytest.approx([0.2, 0.6, 1.0])


def test_a_batch_is_composited_frame_by_frame() -> None:
    source = _memory()
    backgrounds = np.random.default_rng(0).random((2, 2, 3)).astype(np.float32)
    rows = np.array([[0, 5], [7, 12]])
    got = FrameCache(source, np.arange(15), budget_mib=1).composite(rows, backgrounds)
    assert got.shape == (2, 2, 16, 16, 3)
    for place, row in np.ndenumerate(rows):
        expected = composite(source.image(row), source.alpha(row), backgrounds[place])
        assert np.array_equal(got[place].numpy(), expected)


def test_what_does_not_fit_the_budget_is_decoded_when_asked_for() -> None:
    source = _memory(cameras=3, steps=400)  # 1200 frames of 1 KiB each
    cache = FrameCache(source, np.arange(1200), budget_mib=1)
    assert source.decoded == 2 * 1024
    behind = np.zeros((1, 3), np.float32)
    cache.composite(np.array([3]), behind)
    assert source.decoded == 2 * 1024
    late = cache.composite(np.array([1199]), behind)
    assert source.decoded == 2 * 1025
    assert torch.isfinite(late).all()


def test_half_size_frames_meet_half_size_cameras() -> None:
    source = _memory()
    behind = np.zeros((1, 3), np.float32)
    half = FrameCache(source, np.arange(15), 1, shrink=2).composite(np.array([3]), behind)[0]
    full = FrameCache(source, np.arange(15), 1).composite(np.array([3]), behind)[0]
    expected = cv2.resize(full.numpy(), (8, 8), interpolation=cv2.INTER_AREA)
    assert np.abs(half.numpy() - expected).max() < 0.01
    _, K, width, height = camera_tensors(source.cameras, np.array([0]))
    _, half_K, *half_size = camera_tensors(source.cameras, np.array([0]), shrink=2)
    assert half_size == [width // 2, height // 2]
    point = torch.tensor([0.1, -0.2, 1.0])
    torch.testing.assert_close(2 * (half_K[0] @ point)[:2], (K[0] @ point)[:2])
