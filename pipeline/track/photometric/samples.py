"""What frames show at points of the skin: colours, their slopes in the image, visibility."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from numba import njit

from avatar.data.reader import FrameStore
from avatar.render.mesh import project
from pipeline.track.photometric.skin import Skin
from pipeline.track.solve.observations import Observations
from pipeline.track.solve.state import State

Frames = Callable[[int, int], UInt8[np.ndarray, "H W 3"] | None]

DENSITY = 700.0  # pixels per metre at the face's depth above which frames are scaled down
NEARLY = 0.8  # a scale nearer to one than this gains little time and blurs
DARK = 8.0  # of 255; added to colours, so that the logarithm of dark ones is not all noise
CHANNELS = 2  # log brightness, log red to green: lips and lids show in the latter in any light
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


@dataclass(frozen=True)
class View:
    """A face in one frame, cut out.

    Attributes:
        image: scaled by `scale`, at most one; K: its camera, with the zoom of the state that it
            was cut for.
        depth: of the surface at every pixel, metres.
    """

    image: UInt8[np.ndarray, "h w 3"]
    scale: float
    K: Float[np.ndarray, "3 3"]
    depth: Float[np.ndarray, "h w"]


Views = list[dict[int, View]]  # of some timesteps, by camera


@dataclass(frozen=True)
class Samples:
    """At N points, T timesteps, C cameras, D channels.

    Attributes:
        values [T,C,N,D]: logarithms of the channels.
        slopes [T,C,N,D,2]: their change per pixel of the frame to the right and down.
        visible [T,C,N]: which samples count; the others are zero.
        normals [T,N,3]: of the points, unit, world.
    """

    values: Float[np.ndarray, "T C N D"]
    slopes: Float[np.ndarray, "T C N D 2"]
    visible: Bool[np.ndarray, "T C N"]
    normals: Float[np.ndarray, "T N 3"]


def frames(store: FrameStore, timesteps: Int[np.ndarray, "N"]) -> Frames:
    """Frames of a store by solved timestep and camera, `None` where there is none.

    Args:
        timesteps: of the store, one for each of the solved.
    """

    def frame(timestep: int, camera: int) -> UInt8[np.ndarray, "H W 3"] | None:
        row = store.row(int(timesteps[timestep]), camera)
        return store.image(row) if row >= 0 else None

    return frame


def views(
    skin: Skin,
    observed: Observations,
    state: State,
    frame: Frames,
) -> Views:
    """Cut out the skin where a state puts it, in all cameras that found a face.

    Args:
        observed, state: of the timesteps that are wanted; frame: takes their places in these.
    """
    found: Views = []
    for place, verts in enumerate(skin.world(state)):
        found.append({})
        for camera in np.flatnonzero(observed.seen[place]).tolist():
            image = frame(place, camera)
            if image is None:
                continue
            K, viewmat = observed.Ks[camera].copy(), observed.viewmats[camera]
            K[[0, 1], [0, 1]] *= np.exp(state.zoom)
            depth = float((verts @ viewmat[2, :3]).mean() + viewmat[2, 3])
            scale = DENSITY * depth / K[0, 0]
            scale = scale if scale < NEARLY else 1.0
            image, K = crop(image, project(verts, viewmat, K), K, scale)
            if not image.size:
                continue
            height, width = image.shape[:2]
            depths = skin.depth(verts, viewmat, K, width, height)
            found[place][camera] = View(image, scale, K, depths)
    return found


def sample(skin: Skin, observed: Observations, state: State, views: Views, blur: float) -> Samples:
    """Sample the skin where a state puts it.

    Args:
        state: a few pixels from where the views were cut at most, of the same zoom.
        blur: deviation of the Gaussian, in pixels of frames of at most `DENSITY`.
    """
    count, cameras, points = len(views), observed.seen.shape[1], len(skin)
    result = Samples(
        np.zeros((count, cameras, points, CHANNELS), np.float32),
        np.zeros((count, cameras, points, CHANNELS, 2), np.float32),
        np.zeros((count, cameras, points), bool),
        np.zeros((count, points, 3), np.float32),
    )
    for place, verts in enumerate(skin.world(state)):
        result.normals[place] = normals = skin.normals(verts)
        for camera, view in views[place].items():
            viewmat = observed.viewmats[camera]
            visible = skin.visible(
                verts, normals, viewmat, view.K, view.depth, max(2, round(1.5 * blur))
            )
            result.visible[place, camera] = visible
            _gather(
                features(view.image, blur), project(verts[skin.chosen], viewmat, view.K), visible,
                result.values[place, camera], result.slopes[place, camera], view.scale,
            )  # fmt: skip
    return result


def crop(
    image: UInt8[np.ndarray, "H W 3"],
    pixels: Float[np.ndarray, "M 2"],
    K: Float[np.ndarray, "3 3"],
    scale: float,
) -> tuple[UInt8[np.ndarray, "h w 3"], Float[np.ndarray, "3 3"]]:
    """The part of a frame that holds the pixels, scaled, and its K; empty where none is in it."""
    height, width = image.shape[:2]
    margin = 8 / scale
    left, top = np.clip(np.floor(pixels.min(0) - margin), 0, (width, height)).astype(int)
    right, bottom = np.clip(np.ceil(pixels.max(0) + margin), 0, (width, height)).astype(int)
    part = image[top:bottom, left:right]
    if min(part.shape[:2]) < 2 * margin:
        return part[:0], K
    size = np.maximum(np.round(np.array(part.shape[1::-1]) * scale), 1).astype(int)
    factors = size / part.shape[1::-1]
    if scale < 1:
        part = cv2.resize(part, tuple(size.tolist()), interpolation=cv2.INTER_AREA)
    moved = K.copy()
    moved[:2, 2] -= left, top
    moved[:2] *= factors[:, None]
    return part, moved


def features(image: UInt8[np.ndarray, "H W 3"], blur: float) -> Float[np.ndarray, "H W D"]:
    """Logarithms of blurred brightness and of red over green: light adds to them."""
    smooth = np.asarray(cv2.GaussianBlur(image.astype(np.float32), (0, 0), blur), np.float32) + DARK
    result = np.empty((*image.shape[:2], CHANNELS), np.float32)
    result[..., 0] = np.log(smooth @ np.array(LUMA, np.float32))
    result[..., 1] = np.log(smooth[..., 0] / smooth[..., 1])
    return result


@njit(cache=True, nogil=True)
def _gather(image, pixels, visible, values, slopes, scale):
    """Bilinear values at visible pixels, and slopes: bilinear central differences times scale."""
    height, width, channels = image.shape
    for point in range(len(pixels)):
        if not visible[point]:
            continue
        px = min(max(pixels[point, 0] - 0.5, 1.0), width - 3.001)
        py = min(max(pixels[point, 1] - 0.5, 1.0), height - 3.001)
        x, y = int(px), int(py)
        for dy in range(2):
            for dx in range(2):
                i, j = y + dy, x + dx
                weight = (1 - abs(px - j)) * (1 - abs(py - i))
                half = weight * scale / 2
                for channel in range(channels):
                    values[point, channel] += weight * image[i, j, channel]
                    across = image[i, j + 1, channel] - image[i, j - 1, channel]
                    down = image[i + 1, j, channel] - image[i - 1, j, channel]
                    slopes[point, channel, 0] += half * across
                    slopes[point, channel, 1] += half * down
