"""The track drawn over the frames: the fitted mesh as a wire and the detected landmarks."""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int, UInt8

from avatar.cameras import Cameras
from avatar.dataset import FrameStore
from avatar.render.mesh import project
from avatar.rig import HeadRig, RigParams
from pipeline import media
from pipeline.landmarks import Detections

FRAME_RATE = 15  # of the video, about: what a browser shows and a reader can follow
MAX_CAMERAS = 4  # shown side by side, spread over all
WIRE, BRIDGED = (90, 220, 120), (160, 160, 160)
DETECTED, DOUBTED = (255, 60, 40), (255, 200, 0)  # landmarks that were believed, and not
HIDDEN = ("inner_mouth", "teeth", "tongue")  # masks of what lies behind the lips
MAGNIFY = 1.5  # small frames are enlarged this much at most
SHIFT = 3  # fractional bits of OpenCV's drawing coordinates
BATCH = 32  # timesteps posed at once


def write_overlay(
    path: str | Path,
    store: FrameStore,
    found: Detections,
    rig: HeadRig,
    params: RigParams,
    cameras: Cameras,
    size: int,
) -> None:
    """Write the overlay video of up to four cameras, in real time, about 15 frames a second.

    Args:
        path: ends in `.mp4`.
        size: longer side of the video at most, pixels.
    """
    shown = np.unique(np.linspace(0, len(cameras) - 1, MAX_CAMERAS).round().astype(int))
    shown = shown[: len(cameras)]
    rate = _rate(store)
    stride = max(1, round(rate / FRAME_RATE))
    timesteps = np.arange(0, len(params), stride)
    frames = _frames(store, found, rig, params, cameras, shown, timesteps, size)
    media.write_video(path, frames, rate / stride, crf=24, preset="veryfast")


def _rate(store: FrameStore) -> float:
    steps = np.diff(store.time)[store.sequence[1:] == store.sequence[:-1]]
    return float(np.clip(1 / np.median(steps), 1, 120)) if len(steps) else 25.0


def _frames(
    store: FrameStore,
    found: Detections,
    rig: HeadRig,
    params: RigParams,
    cameras: Cameras,
    shown: Int[np.ndarray, "N"],
    timesteps: Int[np.ndarray, "S"],
    size: int,
) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    faces = wire_faces(rig)
    columns = math.ceil(math.sqrt(len(shown)))
    rows = math.ceil(len(shown) / columns)
    largest = cameras.sizes[shown].max(0)
    scale = min(MAGNIFY, size / float((largest * (columns, rows)).max()))
    width, height = (max(2, round(side * scale) // 2 * 2) for side in largest.tolist())

    def draw(job: tuple[int, Float[np.ndarray, "V 3"]]) -> UInt8[np.ndarray, "H W 3"]:
        timestep, verts = job
        canvas = np.zeros((height * rows, width * columns, 3), np.uint8)
        for place, camera in enumerate(shown):
            row = store.row(timestep, int(camera))
            if row < 0:
                continue
            image = cv2.resize(store.image(row), None, fx=scale, fy=scale)
            pixels = project(verts, cameras.viewmats[camera], cameras.Ks[camera]) * scale
            colour = WIRE if params.valid[timestep] else BRIDGED
            dots = DETECTED if found.found[row] else DOUBTED
            draw_frame(image, pixels, faces, found.points[row] * scale, colour, dots)
            part = image[:height, :width]
            top, left = place // columns * height, place % columns * width
            canvas[top : top + part.shape[0], left : left + part.shape[1]] = part
        return canvas

    with ThreadPoolExecutor(2) as pool, torch.no_grad():
        for start in range(0, len(timesteps), BATCH):
            batch = timesteps[start : start + BATCH]
            verts = rig(**params.poses(torch.from_numpy(batch))).numpy()
            yield from pool.map(draw, zip(batch.tolist(), verts, strict=True))


def wire_faces(rig: HeadRig) -> Int[np.ndarray, "F 3"]:
    """The faces worth drawing: the skin and the eyeballs, not what lies in the mouth."""
    hidden = np.zeros(rig.num_verts, bool)
    for name in HIDDEN:
        if name in rig.masks:
            hidden |= rig.masks[name].numpy()
    faces = rig.faces.numpy()
    return faces[~hidden[faces].any(1)]


def draw_frame(
    image: UInt8[np.ndarray, "H W 3"],
    pixels: Float[np.ndarray, "V 2"],
    faces: Int[np.ndarray, "F 3"],
    points: Float[np.ndarray, "478 2"],
    colour: tuple[int, int, int],
    dots: tuple[int, int, int] = DETECTED,
) -> None:
    """Draw the wire of the faces that look this way, and the landmarks (NaN: none), in place."""
    corners = pixels[faces]
    edges = corners[:, 1:] - corners[:, :1]
    # Pixels run downwards, so a face that looks this way turns clockwise: its area is negative.
    front = edges[:, 0, 0] * edges[:, 1, 1] - edges[:, 0, 1] * edges[:, 1, 0] < 0
    lines = np.round((corners[front] - 0.5) * 2**SHIFT).astype(np.int32)
    wire = image.copy()
    cv2.polylines(wire, list(lines), True, colour, 1, cv2.LINE_8, SHIFT)
    cv2.addWeighted(wire, 0.5, image, 0.5, 0, dst=image)
    for x, y in np.round(points[np.isfinite(points).all(1)] - 0.5).astype(int).tolist():
        cv2.circle(image, (x, y), 1, dots, -1)
