"""Render an avatar in a motion, to files."""

from dataclasses import dataclass
from pathlib import Path

import torch

import avatar
from avatar.animate import motion
from avatar.animate.loaded import rig_file
from avatar.base import cli, names
from avatar.base.cores import cores
from avatar.base.errors import UserError
from avatar.base.memory import keep_freed_memory
from avatar.render import default_device
from pipeline.drive import cameras, drivers, output

Colour = tuple[float, float, float]
BLACK: Colour = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Look:
    """How a motion is shown.

    Attributes:
        camera: `front`, `orbit` or the path of a `cameras.json`.
        size: width and height of the images, pixels; None: the camera's.
        background: RGB 0..1; None: transparent.
        fps: frames per second; None: the driver's.
    """

    camera: str = cameras.FRONT
    size: tuple[int, int] | None = None
    background: Colour | None = (1.0, 1.0, 1.0)
    fps: float | None = None


def drive(
    subject: str,
    results: Path,
    by: str,
    look: Look,
    same_person: bool = False,
    path: Path | None = None,
    rig: Path | None = None,
) -> Path:
    """Render the avatar of `results/<subject>`, driven; return what was written.

    Args:
        by: see `drivers.motion_by`.
        same_person: whether the driver shows the avatar's person.
        path: a `.mp4`, a `.mov` or a folder; `drive/<by>.mp4` in the subject's folder (`.mov` if
            transparent) if None.
        rig: the rig's npz file; the one in `results/rigs/` if None.
    Raises:
        UserError: no avatar, no such driver, or one that does not fit; or an output that cannot
            be written as asked for.
    """
    # Threads render batches side by side: torch's thread pool would only wait.
    torch.set_num_threads(1)
    keep_freed_memory()
    home = results / names.check_name(subject, "subject")
    path = path or default_output(home, by, look.background is None)
    output.check(path, look.background is None)
    if path.resolve() == Path(by).resolve():
        raise UserError(f"{path} is the driver: give another --output")
    device = default_device()
    rig = rig or rig_file(home)
    loaded = avatar.load(home, str(device), rig)
    driven = drivers.motion_by(by, loaded, home, rig, same_person, look.fps)
    if look.fps is not None:
        driven = motion.resampled(driven, look.fps)
    views = cameras.look(look.camera, look.size, loaded.rig, loaded.recorded, driven)
    make = output.cut_out if look.background is None else output.opaque
    threads = 1 if device.type == "cuda" else cores()
    batches = loaded.mapped(driven, views, look.background or BLACK, make, threads)
    frames = cli.progress(output.each(batches), "drive", len(driven))
    output.write(path, frames, look.fps or motion.rate_of(driven))
    return path


def default_output(home: Path, by: str, transparent: bool) -> Path:
    """`drive/<driver>.mp4` in the subject's folder."""
    return home / "drive" / (Path(by).stem + (output.WITH_ALPHA if transparent else output.OPAQUE))
