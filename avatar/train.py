"""Train the avatar of a subject: results/<subject>/dataset.h5 -> results/<subject>/avatar/.

Writes avatar.safetensors, point_cloud.ply, rig_params.npz (the rig's parameters, tuned on the
training timesteps) and train_log.csv.
"""

import csv
import ctypes
import io
import logging
from dataclasses import asdict
from pathlib import Path

import torch

from avatar import cli, files
from avatar.dataset import TRAIN, Dataset
from avatar.export import save_gaussians, save_ply
from avatar.presets import TrainSettings, resolve
from avatar.rig import HeadRig
from avatar.trainer import LogRow, Trainer

log = logging.getLogger(__name__)


def train(subject: str, results: Path, rig_path: Path, settings: TrainSettings) -> None:
    """Train one subject and write `results/<subject>/avatar/`.

    Raises:
        UserError: no training frames, another rig than the dataset's, a bad setting, or a loss
            that is not finite.
    """
    # Numba's kernels have the cores; torch's own pool would only wait beside them.
    torch.set_num_threads(1)
    keep_freed_memory()
    home = results / subject
    rig = HeadRig.load(rig_path)
    with Dataset(home / "dataset.h5") as dataset:
        cameras = len({int(c) for c in dataset.camera[dataset.split == TRAIN]})
        preset = resolve(settings, torch.cuda.is_available(), cameras)
        trainer = Trainer(dataset, rig, preset, settings.seed)
        log.info(
            "preset %s: %d images, extent %.3f m, %d Gaussians to begin with",
            preset.name, preset.images, trainer.extent, len(trainer.gaussians),
        )  # fmt: skip
        count = -(-preset.images // trainer.batch_size)
        for _ in cli.progress(trainer.steps(), "train", total=count):
            pass
    about = {
        "subject": subject, "rig": rig.name, "rig_sha256": rig.sha256, "seed": settings.seed,
        "preset": asdict(preset), "extent": trainer.extent,
    }  # fmt: skip
    save_gaussians(home / "avatar" / "avatar.safetensors", trainer.gaussians, about)
    save_ply(home / "avatar" / "point_cloud.ply", trainer.gaussians)
    trainer.tuned_params().save(home / "avatar" / "rig_params.npz")
    files.write_text(home / "avatar" / "train_log.csv", log_table(trainer.log))
    last = trainer.log[-1]
    log.info("%d Gaussians, PSNR of the last training images %.2f dB", last.gaussians, last.psnr)


def keep_freed_memory() -> None:
    """Have glibc keep what is freed: a step otherwise takes hundreds of pages anew from the kernel.

    Does nothing where the C library has no `mallopt`.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mmap_threshold, trim_threshold = -3, -1  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD of malloc.h
        mallopt(mmap_threshold, 1 << 30)
        mallopt(trim_threshold, (1 << 31) - 1)


def log_table(rows: list[LogRow]) -> str:
    """`train_log.csv`: step, images, loss, its terms, psnr, gaussians."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["step", "images", "loss", *rows[0].terms, "psnr", "gaussians"])
    for row in rows:
        values = [row.loss, *row.terms.values(), row.psnr]
        writer.writerow(
            [row.step, row.images, *(f"{value:.6g}" for value in values), row.gaussians]
        )
    return text.getvalue()


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = cli.stage_parser(__doc__)
    parser.add_argument("--rig", type=Path, required=True, help="the rig's file")
    args = parser.parse_args(argv)
    return cli.run_stage("train", args, lambda: train(
        args.subject, args.results, args.rig, cli.read_settings(TrainSettings, args.settings)
    ))  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
