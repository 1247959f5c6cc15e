"""Write the player of a subject, and report what quantisation lost."""

import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from avatar.base import files
from avatar.export.player.block import unpack
from avatar.export.player.contents import player_block
from avatar.export.player.page import page
from avatar.export.player.restore import restore
from avatar.export.subject import Subject
from avatar.gaussians.avatar_file import Avatar
from avatar.render import Views, render
from avatar.rig import HeadRig

_COMPARED = 5  # timesteps
_SIZE = 512  # pixels of the compared renders
_LEAST_ERROR = 1e-12  # mean square; an equal render has no PSNR

log = logging.getLogger(__name__)


def export_player(subject: Subject, licensed: bool, output: Path | None = None) -> Path:
    """Write one HTML file that moves; return its path.

    Args:
        licensed: write a rig that has a licence of its own, too.
        output: the file; `export/<subject>.html` in the subject's folder if None.
    Raises:
        UserError: the rig is licensed, and `licensed` is False.
    """
    name = subject.home.name
    path = subject.home / "export" / f"{name}.html" if output is None else output
    subject.check_licence(licensed, str(path))
    block = player_block(subject.avatar, subject.rig, name)
    files.write_text(path, page(block, name))
    loss = quantisation_psnr(subject.avatar, subject.rig, block)
    size = path.stat().st_size / 1e6
    log.info("%s: %.1f MB; renders equal the avatar's to %.1f dB (PSNR)", path, size, loss)
    return path


def quantisation_psnr(avatar: Avatar, rig: HeadRig, block: bytes) -> float:
    """The lowest PSNR (dB) of renders of a block's avatar against the avatar's own.

    Both as the player shows them first, at timesteps all over the recording.
    """
    packed, its_rig = restore(block)
    views = first_view(unpack(block)[0]["home"])
    worst = _LEAST_ERROR
    for timestep in np.linspace(0, len(avatar.params) - 1, _COMPARED).astype(int).tolist():
        images = []
        for one, of in ((avatar, rig), (packed, its_rig)):
            with torch.no_grad():
                gaussians = one.pose(of, timestep)[1]
                images.append(render(gaussians, views, torch.ones(3)).rgb.clamp(0, 1))
        worst = max(worst, float((images[0] - images[1]).square().mean()))
    return -10 * math.log10(worst)


def first_view(home: dict[str, Any]) -> Views:
    """The camera that the player begins with, for an image of 512 x 512 pixels.

    Args:
        home: of a block's header.
    """
    focal = _SIZE / 2 / math.tan(math.radians(home["field_of_view"] / 2))
    turn = torch.tensor(home["turn"]).reshape(3, 3)
    viewmat = torch.eye(4)
    viewmat[:3, :3] = turn
    viewmat[:3, 3] = torch.tensor([0, 0, home["distance"]]) - turn @ torch.tensor(home["target"])
    K = torch.tensor([[focal, 0, _SIZE / 2], [0, focal, _SIZE / 2], [0, 0, 1]])
    return Views(viewmat[None], K[None], _SIZE, _SIZE)
