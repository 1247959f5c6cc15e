"""The same frames under three protocols: python -m benchmarks.protocols [--pictures FOLDER]

Reads the finished subjects of `benchmarks.holdout` in `results/holdout/`. Of each, at most 40
frames, evenly spread over those of the protocol `head`, are rendered and compared under
`self_reenactment`, `head` and `neck_line`; of avatars without torso, under `head`. With
`--pictures`, what was compared is also written as pictures, truth beside render: look at them
before you use a figure.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Int, UInt8

from avatar.base import cli
from avatar.base.errors import UserError
from avatar.data.dataset import Dataset
from avatar.evaluate.pixels import Pair, show
from avatar.evaluate.protocols import PROTOCOLS
from avatar.evaluate.renders import protocol_rows
from avatar.evaluate.scores import score_frame
from avatar.gaussians.avatar_file import Avatar, load_avatar
from avatar.rig import HeadRig
from benchmarks import report
from pipeline.evaluate.run import evenly_spread

COMPARED = ("self_reenactment", "head", "neck_line")
WHITE = 1.0  # grey level of self_reenactment
FRAMES, SHOWN = 40, 4  # of a subject, and of those in the pictures
HEIGHT = 320  # pixels of a picture
SOURCES = ["avatar", "pipeline", "benchmarks/protocols.py"]


class Measured(NamedTuple):
    """Means over frames: share of the frame that the truth covers, in per cent, and metrics."""

    share: float
    psnr: float
    mask_psnr: float
    ssim: float


def finished(folder: Path) -> list[Path]:
    """The subjects that are evaluated.

    Raises:
        UserError: there is none.
    """
    found = sorted(path.parents[1] for path in folder.glob("*/eval/summary.json"))
    if not found:
        raise UserError(
            f"{folder} has no evaluated subject: run python -m benchmarks.holdout first"
        )
    return found


def measure(
    avatar: Avatar, rig: HeadRig, dataset: Dataset, rows: Int[np.ndarray, "R"], name: str
) -> tuple[Measured, list[UInt8[np.ndarray, "h w 3"]]]:
    """A protocol's figures of some frames, and pictures of a few of them."""
    chosen = set(evenly_spread(rows, SHOWN).tolist())
    figures, pictures = [], []
    for pair in show(avatar, rig, dataset, PROTOCOLS[name], rows, WHITE):
        scores = score_frame(pair, {}, costly=False).scores
        full, mask = scores["full"], scores["mask"]
        share = 100 * float(pair.alpha.mean())
        figures.append(Measured(share, full["psnr"], mask["psnr"], full["ssim"]))
        if pair.row in chosen:
            pictures.append(picture(pair, f"{name} {full['psnr']:.1f} dB"))
    return Measured(*np.mean(figures, 0).tolist()), pictures


def picture(pair: Pair, caption: str) -> UInt8[np.ndarray, "h w 3"]:
    """Truth and render side by side."""
    both = np.concatenate([pair.truth, pair.image], 1)
    scale = HEIGHT / both.shape[0]
    small = cv2.resize(both, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    image: UInt8[np.ndarray, "h w 3"] = (small.clip(0, 1) * 255).astype(np.uint8)
    place, red = (4, 14), (220, 0, 0)
    cv2.putText(image, caption, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, red, 1, cv2.LINE_AA)
    return image


def of_subject(home: Path, rig: HeadRig, pictures: Path | None) -> list[object]:
    """A row of the table."""
    avatar = load_avatar(home / "avatar", rig)
    with Dataset(home / "dataset.h5") as dataset:
        rows = evenly_spread(protocol_rows(dataset, "head"), FRAMES)
        found = {
            name: measure(avatar, rig, dataset, rows, name)
            for name in COMPARED
            if PROTOCOLS[name].fits(avatar.torso)
        }
    if pictures is not None:
        columns = [np.concatenate(shown) for _, shown in found.values()]
        pictures.mkdir(parents=True, exist_ok=True)
        sheet = cv2.cvtColor(np.concatenate(columns, 1), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(pictures / f"{home.name}.png"), sheet)
    formats = {"psnr": ".2f", "mask_psnr": ".2f", "ssim": ".3f", "share": ".0f"}
    cells = [
        format(getattr(found[name][0], figure), kind) if name in found else ""
        for figure, kind in formats.items()
        for name in COMPARED
    ]
    return [home.name, len(rows), *cells]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--pictures", type=Path, help="folder for PNG files")
    report.add_option(parser)
    args = parser.parse_args()
    torch.set_num_threads(1)
    folder = args.results / "holdout/results"
    rig = HeadRig.load(folder / "rigs/anny.npz")
    homes = cli.progress(finished(folder), "subjects")
    rows = [of_subject(home, rig, args.pictures) for home in homes]
    header = ["capture", "frames"]
    for metric in ("PSNR", "mask PSNR", "SSIM", "covered, %"):
        header += [f"{metric}: {name}" for name in COMPARED]
    body = report.table(header, rows) + "\n\nLPIPS: NA, no weights file is at hand."
    report.publish("docs/quality.md", "protocols", body, SOURCES, args.write)


if __name__ == "__main__":
    main()
