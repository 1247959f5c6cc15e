"""Write the player of a subject, and report what quantisation lost."""

import logging
from pathlib import Path

import torch
from torch import Tensor

from avatar.base import files
from avatar.export.player.contents import player_block
from avatar.export.player.page import page
from avatar.export.player.restore import restore
from avatar.export.subject import Subject
from avatar.render import Views, render
from avatar.render.types import WorldGaussians

_COMPARED = 5  # timesteps
_SIZE = 256  # pixels of the compared renders

log = logging.getLogger(__name__)


def export_player(
    subject: Subject, output: Path | None = None, include_licensed_rig: bool = False
) -> Path:
    """Write one HTML file that moves; return its path.

    Args:
        output: the file; `export/<subject>.html` in the subject's folder if None.
        include_licensed_rig: write it although it contains a rig made from somebody's file.
    Raises:
        UserError: the rig is licensed, and `include_licensed_rig` is False.
    """
    subject.check_licence(include_licensed_rig, "the player")
    name = subject.home.name
    block = player_block(subject.avatar, subject.rig, name)
    path = subject.home / "export" / f"{name}.html" if output is None else output
    files.write_text(path, page(block, name))
    log.info(
        "%s: %.1f MB; quantisation changed renders by no more than %.1f dB PSNR",
        path, path.stat().st_size / 1e6, quantisation_psnr(subject, block),
    )  # fmt: skip
    return path


def quantisation_psnr(subject: Subject, block: bytes) -> float:
    """The lowest PSNR (dB) of the packed avatar's renders against the avatar's own."""
    packed, rig = restore(block)
    head = subject.rig.v_template[~subject.rig.masks["neck"]].mean(0)
    worst = 0.0
    for timestep in torch.linspace(0, len(subject.avatar.params) - 1, _COMPARED).long().tolist():
        with torch.no_grad():
            verts, before = subject.avatar.pose(subject.rig, timestep)
            after = packed.pose(rig, timestep)[1]
        views = _front(verts, subject.rig.head_radius)
        error = (_rgb(before, views) - _rgb(after, views)).square().mean()
        worst = max(worst, float(error))
    return -10 * float(torch.tensor(max(worst, 1e-12)).log10())
