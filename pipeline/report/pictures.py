"""Held-out frames beside their renders: the best, the median and the worst of each protocol."""

import base64
import io
from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd
from jaxtyping import UInt8
from PIL import Image

from avatar.base.errors import UserError
from avatar.data.dataset import Dataset
from avatar.evaluate.pixels import show
from avatar.evaluate.protocols import PROTOCOLS
from avatar.evaluate.scores import score_frame
from avatar.gaussians.avatar_file import Avatar
from avatar.rig import HeadRig
from pipeline.evaluate.run import pictures

MOST_PIXELS = 480  # of a picture's longer side
PICTURED = ("novel_view", "self_reenactment", "head", "neck_line")


@dataclass(frozen=True)
class Shown:
    """One frame; its pictures are those of `evaluate.run.pictures`, by name, made `small`."""

    protocol: str
    rank: str
    where: pd.Series
    pictures: dict[str, UInt8[np.ndarray, "h w 3"]]


def show_frames(
    metrics: pd.DataFrame, avatar: Avatar, rig: HeadRig, dataset: Dataset, background: float
) -> list[Shown]:
    """Render the frames again that `ranked` chooses.

    Args:
        metrics: a row per frame and region, see `pipeline.report.record`.
        background: grey level of the settings.
    Raises:
        UserError: the dataset lacks a frame of the table.
    """
    shown = []
    for name in PICTURED:
        of_protocol = metrics[(metrics.protocol == name) & (metrics.region == "full")]
        chosen = ranked(of_protocol)
        rows = np.array([_row(dataset, where) for where in chosen.values()], int)
        pairs = show(avatar, rig, dataset, PROTOCOLS[name], rows, background)
        for (rank, where), pair in zip(chosen.items(), pairs, strict=True):
            parts = pictures(score_frame(pair, {}))
            reduced = {part: small(image, MOST_PIXELS) for part, image in parts.items()}
            shown.append(Shown(name, rank, where, reduced))
    return shown


def ranked(full: pd.DataFrame) -> dict[str, pd.Series]:
    """The rows with the highest, the middle and the lowest PSNR; fewer where there are fewer."""
    ordered = full.sort_values("psnr", ascending=False, kind="stable")
    last = len(ordered) - 1
    places = {"best": 0, "median": last // 2, "worst": last} if last >= 2 else {"best": 0}
    if last == 1:
        places["worst"] = 1
    return {rank: ordered.iloc[place] for rank, place in places.items()} if last >= 0 else {}


def _row(dataset: Dataset, where: pd.Series) -> int:
    """The row of a table's frame."""
    try:
        row = dataset.row(int(where.timestep), dataset.camera_ids.index(where.camera))
    except (ValueError, IndexError):
        row = -1
    if row < 0:
        raise UserError(
            f"{dataset.path} has no frame of camera {where.camera} at timestep {where.timestep}, "
            "which eval/metrics.csv names: evaluate the subject again"
        )
    return row


def small(image: UInt8[np.ndarray, "H W 3"], most: int) -> UInt8[np.ndarray, "h w 3"]:
    """The image, shrunk to so many pixels of its longer side at most."""
    factor = min(1.0, most / max(image.shape[:2]))
    size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
    return cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_AREA)


def data_uri(image: UInt8[np.ndarray, "H W 3"], most: int, quality: int) -> str:
    """An image as an address that needs no request: a JPEG of at most so many pixels a side."""
    stream = io.BytesIO()
    Image.fromarray(small(image, most)).save(stream, "JPEG", quality=quality, subsampling=0)
    return address("image/jpeg", stream.getvalue())


def address(kind: str, data: bytes) -> str:
    """A file as an address that needs no request; `kind` is its media type."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
