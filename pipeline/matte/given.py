"""Mattes that a capture brings: the alpha channel of its images."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from avatar.base import files
from avatar.base.errors import UserError
from avatar.data.reader import FrameStore
from pipeline.capture.images import read_picture
from pipeline.capture.model import Capture
from pipeline.ingest.framing import Framing
from pipeline.matte.backends import Alpha


@dataclass(frozen=True)
class GivenAlpha:
    """The alpha of one stored frame.

    Attributes:
        image: the file with an alpha channel.
        framing: of its camera, without colour correction.
    """

    image: Path
    framing: Framing

    def read(self) -> Alpha:
        """The alpha, framed as the stored frame is.

        Raises:
            UserError: the image cannot be read, or has no alpha channel.
        """
        alpha = read_picture(self.image).alpha
        if alpha is None:
            raise UserError(
                f"{self.image} has no alpha channel, other images of its clip have one: give all "
                "of them one, or set matte.backend"
            )
        return self.framing.apply(np.repeat(alpha[..., None], 3, 2), str(self.image))[..., 0]


def given_alphas(capture: Capture, ingested: Path) -> dict[int, GivenAlpha]:
    """The rows of the frame store whose images have an alpha channel.

    Args:
        ingested: folder that ingest wrote.
    """
    with_alpha = {(c.sequence, c.camera): c for c in capture.clips if c.has_alpha()}
    if not with_alpha:
        return {}
    index = files.read_json(ingested / "index.json")
    found: dict[int, GivenAlpha] = {}
    framings: dict[str, Framing] = {}
    with FrameStore(ingested / "frames.h5") as store:
        for entry in index["clips"]:
            camera = entry["camera"]
            clip = with_alpha.get((entry["sequence"], camera))
            if clip is None:
                continue
            place = capture.camera_ids.index(camera)
            if camera not in framings:
                framing = Framing.from_json(index["cameras"][camera], capture.cameras, place)
                framings[camera] = replace(framing, colour=None)
            images = clip.image_files()
            for timestep, number in zip(entry["timesteps"], entry["source_frames"], strict=True):
                row = store.row(timestep, place)
                found[row] = GivenAlpha(images[number], framings[camera])
    return found
