"""What can be seen of a run while it trains; nothing here changes it.

In `checkpoints/<run>/` are `train_log.csv`, the rows of the log so far, and `validation.png`, a
frame beside its render. On request TensorBoard's event files have both.
"""

import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from avatar.base import files
from avatar.base.errors import UserError, one_line
from avatar.data.dataset import Dataset
from avatar.data.frames import camera_tensors, composite
from avatar.data.layout import TEST, TRAIN, VAL
from avatar.render import Views, render
from avatar.rig import HeadRig
from avatar.train.log import LogRow
from avatar.train.trainer import Trainer

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

log = logging.getLogger(__name__)

LOG, PICTURE = "train_log.csv", "validation.png"
EVENTS = "tensorboard"  # folder of the subject
PAUSE = 10.0  # seconds between two pictures, at least
_WHITE = np.ones(3, np.float32)


class Live:
    """Call `step` after every step, and `close` in the end."""

    def __init__(
        self, trainer: Trainer, rig: HeadRig, dataset: Dataset, folder: Path, events: Path | None
    ) -> None:
        """Write the rows that the run has, in the place of those that it went on to do before.

        Args:
            rig: on the CPU.
            folder: `checkpoints/<run>`.
            events: folder for TensorBoard's files, or None.
        Raises:
            UserError: TensorBoard is asked for and not installed.
        """
        self._trainer, self._rig, self._dataset = trainer, rig, dataset
        self._folder, self._log = folder, folder / LOG
        self._row = validation_row(dataset)
        self._events = None if events is None else _writer(events, trainer.images)
        self._next_picture = 0.0
        self._failed = False
        self._written = len(trainer.log.rows)
        self._log.unlink(missing_ok=True)
        if self._written:
            files.write_text(self._log, trainer.log.table())

    def step(self) -> None:
        """Append the rows that are new, and now and then make a picture."""
        if len(self._trainer.log.rows) == self._written or self._failed:
            return
        try:
            self._show()
        except OSError as problem:  # what is seen of a run is not worth the run
            log.warning("%s gets no more rows, training goes on: %s", self._log, one_line(problem))
            self._failed = True

    def _show(self) -> None:
        rows = self._trainer.log.rows[self._written :]
        self._folder.mkdir(parents=True, exist_ok=True)
        with open(self._log, "a", encoding="utf-8") as file:
            file.write(self._trainer.log.table(self._written))
        self._written += len(rows)
        picture = self._picture() if time.monotonic() > self._next_picture else None
        if picture is not None:
            with files.atomic(self._folder / PICTURE) as temporary:
                Image.fromarray(picture).save(temporary, "PNG")
            self._next_picture = time.monotonic() + PAUSE
        if self._events is not None:
            _add(self._events, rows, picture)

    def _picture(self) -> UInt8[np.ndarray, "H W 3"]:
        """The validation frame and its render side by side, before white."""
        dataset, trainer = self._dataset, self._trainer
        gaussians = trainer.gaussians.detached()
        avatar = replace(trainer.avatar({}), gaussians=gaussians)
        views = Views(*camera_tensors(dataset.cameras, dataset.camera[[self._row]]))
        device = gaussians.binding.device
        with torch.no_grad():
            _, world = avatar.pose(self._rig, int(dataset.timestep[self._row]))
            white = torch.ones(3, device=device)
            shown = render(world, views.to(device), white).rgb[0].clamp(0, 1).cpu().numpy()
        truth = composite(dataset.image(self._row), dataset.alpha(self._row), _WHITE)
        return (np.concatenate([truth, shown], 1) * 255 + 0.5).astype(np.uint8)

    def close(self) -> None:
        """Close the event files."""
        if self._events is not None:
            self._events.close()


def validation_row(dataset: Dataset) -> int:
    """The frame to show: the middle one of the held-out camera, else of the held-out timesteps.

    Of a dataset without either, the middle one of training.
    """
    parts = (dataset.rows(split) for split in (VAL, TEST, TRAIN))
    rows = next(rows for rows in parts if len(rows))
    return int(rows[np.argsort(dataset.timestep[rows], kind="stable")][len(rows) // 2])


def progress_note(trainer: Trainer) -> str:
    """Loss, PSNR and Gaussians, for the progress line."""
    latest = trainer.log.latest(trainer.images)
    if latest is None:
        return ""
    loss, psnr = latest
    return f"loss {loss:.4f}, {psnr:.1f} dB, {len(trainer.gaussians)} Gaussians"


def _writer(folder: Path, images: int) -> "SummaryWriter":
    """TensorBoard's writer; what a run wrote after its checkpoint is hidden from its charts."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as problem:
        raise UserError(
            f"settings: train.tensorboard is true, but TensorBoard cannot be imported ({problem}): "
            "run 'pip install \"tensorboard<2.20\"', or set it to false"
        ) from None
    return SummaryWriter(str(folder), purge_step=images or None)


def _add(
    events: "SummaryWriter", rows: list[LogRow], picture: UInt8[np.ndarray, "H W 3"] | None
) -> None:
    for row in rows:
        values = {"loss": row.loss, "psnr": row.psnr, "gaussians": row.gaussians}
        for name, value in (values | {f"terms/{k}": v for k, v in row.terms.items()}).items():
            events.add_scalar(name, value, row.images)
    if picture is not None:
        events.add_image("validation", picture, rows[-1].images, dataformats="HWC")
    events.flush()
