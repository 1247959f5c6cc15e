"""Where the frames go: an H.264 video, a folder of PNG images, or a video with alpha."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor

from avatar.animate.loaded import to_bytes
from avatar.base.errors import UserError
from avatar.base.folders import replacing
from pipeline import media

Frame = UInt8[np.ndarray, "H W C"]  # RGB, or RGB and alpha
OPAQUE, WITH_ALPHA = ".mp4", ".mov"


def check(output: Path, transparent: bool) -> None:
    """Refuse an output that cannot be written.

    Raises:
        UserError: another suffix, a background that does not fit it, or a folder of other things.
    """
    suffix = output.suffix.lower()
    if suffix not in (OPAQUE, WITH_ALPHA, ""):
        raise UserError(
            f"--output {output}: expected a name that ends in {OPAQUE}, in {WITH_ALPHA} (with "
            "alpha), or a folder for PNG images"
        )
    if suffix == OPAQUE and transparent:
        raise UserError(
            f"{output}: H.264 has no alpha: give a background colour, or --output NAME{WITH_ALPHA}"
        )
    if suffix == WITH_ALPHA and not transparent:
        raise UserError(f"{output} is a video with alpha: give --background transparent")
    if suffix and output.is_dir():
        raise UserError(f"{output} is a folder: give another name")
    if not suffix and output.exists():
        if not output.is_dir():
            raise UserError(f"{output} is no folder: give another name")
        if any(path.suffix != ".png" or not path.stem.isdigit() for path in output.iterdir()):
            raise UserError(f"{output} holds other files than numbered images: give another name")


def write(output: Path, frames: Iterable[Frame], fps: float) -> None:
    """Write all frames; what was there stays until the new is complete."""
    if output.suffix.lower() == OPAQUE:
        media.write_video(output, frames, fps, preset="veryfast")
    elif output.suffix.lower() == WITH_ALPHA:
        media.write_alpha_video(output, frames, fps)
    else:
        with replacing(output) as folder:
            for number, frame in enumerate(frames):
                (folder / f"{number:06d}.png").write_bytes(encode(frame))


def encode(frame: Frame) -> bytes:
    """PNG bytes of an RGB or RGBA image."""
    order = cv2.COLOR_RGB2BGR if frame.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
    return cv2.imencode(".png", cv2.cvtColor(frame, order))[1].tobytes()


def opaque(rgb: Float[Tensor, "B H W 3"], alpha: Float[Tensor, "B H W 1"]) -> list[Frame]:
    """RGB images of a batch, before the background that was rendered."""
    return list(to_bytes(rgb))


def cut_out(rgb: Float[Tensor, "B H W 3"], alpha: Float[Tensor, "B H W 1"]) -> list[Frame]:
    """RGBA images (straight alpha) of a batch that was rendered over black."""
    straight = (rgb / alpha.clamp(min=1 / 255)).clamp_(0, 1)
    return list(np.concatenate([to_bytes(straight), to_bytes(alpha)], 3))


def each(batches: Iterable[list[Frame]]) -> Iterator[Frame]:
    """The images of all batches."""
    for batch in batches:
        yield from batch
