"""The demo's studio: cameras on an arc, patterned walls, a shadow, sensor noise."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from avatar.data.cameras import Cameras

# Degrees to the subject's left and upwards; index C // 2 (held out) lies between its neighbours.
YAWS = (-60, -43, -26, -9, 8, 25, 42, 59)
PITCHES = (4, -7, 10, -3, 5, -9, 12, 0)
DISTANCE = 1.15  # m
VIEW_HEIGHT = 0.37  # m that fill the image's height at that distance
AIM = (0.0, -0.012, 0.0)  # m; the middle of the picture
SHADOW, SHADOW_SHIFT, SHADOW_BLUR = 0.22, (0.10, 0.06), 0.05  # depth; shares of the width
NOISE = 1.6  # standard deviation, of 255


def make_cameras(count: int, size: int) -> Cameras:
    """The first `count` cameras of the arc for square images of `size` pixels.

    Args:
        count: at most 8; fewer are spread over the arc, and one alone stands in front.
        size: width and height, pixels.
    """
    chosen = np.linspace(0, len(YAWS) - 1, count).round().astype(int)
    if count == 1:
        chosen = np.array([len(YAWS) // 2])
    viewmats, Ks = [], []
    for number in chosen:
        yaw, pitch = np.radians([0, 0] if count == 1 else [YAWS[number], PITCHES[number]])
        back = np.array([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
        right = np.array([np.cos(yaw), 0.0, -np.sin(yaw)])
        turn = np.stack([right, np.cross(right, back), -back])
        viewmat = np.eye(4)
        viewmat[:3, :3] = turn
        viewmat[:3, 3] = -turn @ (np.array(AIM) + back * DISTANCE)
        viewmats.append(viewmat)
        # No two cameras alike: a percent of focal length, a few pixels of principal point.
        focal = size * DISTANCE / VIEW_HEIGHT * (1 + 0.01 * np.cos(5.0 * number))
        middle = size * (0.5 + 0.008 * np.array([np.sin(3.0 * number), np.cos(2.0 * number)]))
        Ks.append([[focal, 0, middle[0]], [0, focal, middle[1]], [0, 0, 1]])
    return Cameras(
        [f"{place:02d}" for place in range(count)], np.array(Ks), np.stack(viewmats),
        np.full((count, 2), size), np.zeros((count, 5)), np.zeros(count),
    )  # fmt: skip


def make_wall(camera: int, size: int) -> Float[np.ndarray, "{size} {size} 3"]:
    """A camera's view without the person (0..1): blurred blobs, stripes, a gradient."""
    rng = np.random.default_rng(100 + camera)
    y, x = np.mgrid[:size, :size] / size
    base = rng.uniform(0.35, 0.6, 3)
    wall = base + (y[..., None] - 0.5) * rng.uniform(-0.15, 0.15, 3)
    for _ in range(14):
        cx, cy, radius = rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(0.05, 0.22)
        edge = np.clip((radius - np.hypot(x - cx, y - cy)) * size / 4 + 0.5, 0, 1)
        wall += edge[..., None] * rng.uniform(-0.10, 0.10, 3)
    angle, pitch = rng.uniform(0, np.pi), rng.uniform(9, 16)
    stripes = np.sin(2 * np.pi * pitch * (x * np.cos(angle) + y * np.sin(angle)))
    wall += 0.03 * stripes[..., None]
    wall = cv2.GaussianBlur(wall, (0, 0), size / 256)
    return np.clip(wall, 0.08, 0.92)


def film(
    rgb: Float[np.ndarray, "H W 3"],
    alpha: Float[np.ndarray, "H W"],
    wall: Float[np.ndarray, "H W 3"],
    rng: np.random.Generator,
) -> UInt8[np.ndarray, "H W 3"]:
    """Composite the person over the wall with a soft shadow, and add sensor noise.

    Args:
        rgb: colour times coverage, 0..1.
        alpha: coverage, 0..1.
        wall: 0..1.
        rng: source of the noise.
    """
    size = alpha.shape[1]
    shift = np.array([[1, 0, SHADOW_SHIFT[0] * size], [0, 1, SHADOW_SHIFT[1] * size]])
    moved = cv2.warpAffine(alpha, shift, alpha.shape[::-1])
    small = cv2.resize(moved, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(small, (0, 0), SHADOW_BLUR * size / 4)
    shadow: np.ndarray = cv2.resize(soft, alpha.shape[::-1], interpolation=cv2.INTER_LINEAR)
    image = rgb + ((1 - alpha) * (1 - SHADOW * shadow))[..., None] * wall
    grain = rng.standard_normal(image.shape, np.float32) * (NOISE / 255)
    return np.clip((image + grain * (0.6 + 0.8 * image)) * 255 + 0.5, 0, 255).astype(np.uint8)
