"""The track drawn over the frames: the fitted mesh as a wire and the detected landmarks."""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int, UInt8

from avatar.base.cores import cores
from avatar.data.cameras import Cameras
from avatar.data.reader import FrameStore
from avatar.render.mesh import facing, project
from avatar.rig import HeadRig, RigParams
from pipeline import media
from pipeline.detect.landmarks import Detections

FRAME_RATE = 15  # of the video, about: what a browser shows and a reader can follow
MAX_CAMERAS = 4  # shown side by side, spread over all
WIRE, BRIDGED = (90, 220, 120), (160, 160, 160)
DETECTED, OUTLIER = (255, 60, 40), (255, 200, 0)  # landmarks: used, outliers
HIDDEN = ("inner_mouth", "teeth", "tongue")  # masks of what lies behind the lips
CRF = 26  # x264's, at its fastest preset: a fifth of the time of `veryfast`, a file twice as large
SMALL, MAGNIFY = 400, 1.5  # frames of fewer pixels are enlarged, this much at most
SHIFT = 3  # fractional bits of OpenCV's drawing coordinates
BATCH = 32  # timesteps posed at once
DOT = np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]])  # pixels of a landmark


@dataclass(frozen=True)
class Wire:
    """The edges of a mesh, each once, as a walk: OpenCV draws a long line faster than many.

    Attributes:
        path: vertices in the order of the walk.
        steps: the edge from each vertex of `path` to the next; -1 where the walk leaps or ends.
        edges: of every face.
    """

    faces: Int[np.ndarray, "F 3"]
    path: Int[np.ndarray, "P"]
    steps: Int[np.ndarray, "P"]
    edges: Int[np.ndarray, "F 3"]


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
    media.write_video(path, frames, rate / stride, crf=CRF, preset="ultrafast")


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
    wire = wire_of(wire_faces(rig))
    columns = math.ceil(math.sqrt(len(shown)))
    rows = math.ceil(len(shown) / columns)
    largest = cameras.sizes[shown].max(0)
    most = MAGNIFY if largest.max() < SMALL else 1.0
    scale = min(most, size / float((largest * (columns, rows)).max()))
    width, height = (max(2, round(side * scale) // 2 * 2) for side in largest.tolist())

    def draw(job: tuple[int, Float[np.ndarray, "V 3"]]) -> UInt8[np.ndarray, "H W 3"]:
        timestep, verts = job
        canvas = np.zeros((height * rows, width * columns, 3), np.uint8)
        for place, camera in enumerate(shown):
            row = store.row(timestep, int(camera))
            if row < 0:
                continue
            image = store.image(row)
            if scale != 1:
                image = cv2.resize(image, None, fx=scale, fy=scale)
            pixels = project(verts, cameras.viewmats[camera], cameras.Ks[camera]) * scale
            colour = WIRE if params.valid[timestep] else BRIDGED
            dots = DETECTED if found.found[row] else OUTLIER
            draw_frame(image, pixels, wire, found.points[row] * scale, colour, dots)
            part = image[:height, :width]
            top, left = place // columns * height, place % columns * width
            canvas[top : top + part.shape[0], left : left + part.shape[1]] = part
        return canvas

    with ThreadPoolExecutor(cores()) as pool, torch.no_grad():
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


def wire_of(faces: Int[np.ndarray, "F 3"]) -> Wire:
    """Walk along the edges of faces: straight on to any edge not walked yet, else leap."""
    sides = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]], -1)
    pairs, edges = np.unique(sides.reshape(-1, 2), axis=0, return_inverse=True)
    ahead: dict[int, dict[int, int]] = {}
    for edge, (start, stop) in enumerate(pairs.tolist()):
        ahead.setdefault(start, {})[stop] = edge
        ahead.setdefault(stop, {})[start] = edge
    path, steps = [], []
    for start in ahead:
        while ahead[start]:
            here = start
            path.append(here)
            while ahead[here]:
                there, edge = ahead[here].popitem()
                del ahead[there][here]
                path.append(there)
                steps.append(edge)
                here = there
            steps.append(-1)
    return Wire(faces, np.array(path, int), np.array(steps, int), edges.reshape(-1, 3))


def draw_frame(
    image: UInt8[np.ndarray, "H W 3"],
    pixels: Float[np.ndarray, "V 2"],
    wire: Wire,
    points: Float[np.ndarray, "478 2"],
    colour: tuple[int, int, int],
    dots: tuple[int, int, int] = DETECTED,
) -> None:
    """Draw the wire of the faces that look this way, and the landmarks (NaN: none), in place."""
    drawn = image.copy()
    cv2.polylines(drawn, _lines(pixels, wire), False, colour, 1, cv2.LINE_8, SHIFT)
    cv2.addWeighted(drawn, 0.5, image, 0.5, 0, dst=image)
    places = np.round(points[np.isfinite(points).all(1)] - 0.5).astype(int)
    spots = (places[:, None] + DOT).reshape(-1, 2)
    x, y = spots[((spots >= 0) & (spots < image.shape[1::-1])).all(1)].T
    image[y, x] = dots


def _lines(pixels: Float[np.ndarray, "V 2"], wire: Wire) -> list[Int[np.ndarray, "_ 2"]]:
    """The stretches of the walk along faces that look this way, in OpenCV's fractions of pixels."""
    shown = np.zeros(wire.edges.max(initial=-1) + 2, bool)  # the last: a leap
    shown[wire.edges[facing(pixels, wire.faces)]] = True
    drawn = np.concatenate([[False], shown[wire.steps]])
    ends = np.flatnonzero(drawn[1:] != drawn[:-1]).reshape(-1, 2)
    places = np.round((pixels - 0.5) * 2**SHIFT).astype(np.int32)[wire.path]
    return [places[start : stop + 1] for start, stop in ends.tolist()]
