"""Describe and export the HDF5 files of a subject."""

import csv
import logging
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from avatar.base import cli, files
from avatar.base.errors import UserError, printable
from avatar.data.dataset import Dataset
from avatar.data.layout import ALPHA, IMAGE, REGION, SPLITS
from avatar.data.reader import FrameStore

log = logging.getLogger(__name__)
SUFFIXES = {IMAGE: ".jpg", ALPHA: ".png", REGION: ".png"}


def describe(path: str | Path) -> str:
    """What is in a file: subject, sequences, cameras, splits and bytes of each channel.

    Args:
        path: `dataset.h5`, `ingest/frames.h5` or `matte/alpha.h5`.
    Raises:
        UserError: the file is absent, or what is read of it is damaged.
    """
    with FrameStore(path) as store:
        lines = [f"{path}: schema {store.attrs['schema_version']}, {len(store)} frames"]
        names = [name for name in ("subject", "rig", "code_version") if name in store.attrs]
        lines += [f"{name}: {store.attrs[name]}" for name in names]
        for sequence in sorted(set(store.sequence.tolist())):
            times = store.time[store.sequence == sequence]
            lines.append(f"sequence {sequence}: {len(times)} timesteps, {times[-1]:.2f} s")
        for name, (width, height) in zip(store.camera_ids, store.sizes.tolist(), strict=True):
            count = int((store.camera == store.camera_ids.index(name)).sum())
            lines.append(f"camera {name}: {width} x {height}, {count} frames")
        if "split" in store.arrays("frames"):
            split = store.checked("frames/split")
            counts = [f"{name} {int((split == k).sum())}" for k, name in enumerate(SPLITS)]
            lines.append(f"splits: {', '.join(counts)}")
        for channel in _channels(store):
            size = int(store.checked(f"frames/{channel}_offset")[-1])
            lines.append(
                f"channel {channel}: {size / 2**20:.1f} MiB, {size / len(store):.0f} bytes a frame"
            )
    return "\n".join(printable(line) for line in lines)


def export(path: str | Path, folder: str | Path, cutouts: bool = False) -> None:
    """Write a dataset as plain files: the stored bytes, nothing is encoded anew.

    `<folder>/<sequence>/cam_<id>/<channel>/NNNNNN.<jpg|png>`, `cameras.json`, `params.npz` and
    `frames.csv` (a row per frame: sequence, index, time, camera, split, file).

    Args:
        cutouts: also write `.../cutout/NNNNNN.png`, RGBA with straight alpha, the old background
            taken out of the colours at the edge: fit to lay over anything.
    Raises:
        UserError: the dataset is damaged, or the folder holds something.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} exists and is not empty: give a new folder")
    with Dataset(path) as store:
        channels = _channels(store)
        rows = []
        for row in cli.progress(range(len(store)), "export"):
            timestep, camera = int(store.timestep[row]), store.camera_ids[store.camera[row]]
            sequence, index = str(store.sequence[timestep]), int(store.index[timestep])
            place = Path(sequence) / f"cam_{camera}"
            for channel in channels:
                file = folder / place / channel / f"{index:06d}{SUFFIXES[channel]}"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(store.blob(channel, row).tobytes())
            if cutouts:
                cutout = folder / place / "cutout" / f"{index:06d}.png"
                cutout.parent.mkdir(parents=True, exist_ok=True)
                _write_cutout(cutout, store.image(row), store.alpha(row))
            name = place / IMAGE / f"{index:06d}{SUFFIXES[IMAGE]}"
            time = float(store.time[timestep])
            rows.append((sequence, index, time, camera, SPLITS[store.split[row]], name))
        store.cameras.save(folder / "cameras.json")
        store.params.save(folder / "params.npz")
    with (
        files.atomic(folder / "frames.csv") as temporary,
        open(temporary, "w", newline="", encoding="utf-8") as listing,
    ):
        writer = csv.writer(listing)
        writer.writerow(("sequence", "index", "time", "camera", "split", "file"))
        writer.writerows(rows)


def _channels(store: FrameStore) -> list[str]:
    return [name for name in store.arrays("blobs") if name in SUFFIXES]


def _write_cutout(
    path: Path, image: UInt8[np.ndarray, "H W 3"], alpha: UInt8[np.ndarray, "H W"]
) -> None:
    from avatar.data.foreground import foreground  # Numba: only where it is asked for

    pixels = np.dstack([foreground(image, alpha), alpha])
    Image.fromarray(pixels).save(path, compress_level=1)
