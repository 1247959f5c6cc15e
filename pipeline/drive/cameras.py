"""The camera that looks: before the face, swinging around it, or one of a file."""

from pathlib import Path

import torch

from avatar.animate import views
from avatar.base.errors import UserError
from avatar.data.cameras import Cameras
from avatar.render import Views
from avatar.rig import HeadRig, RigParams

FRONT, ORBIT = "front", "orbit"
SIZE = (512, 512)


def look(
    camera: str, size: tuple[int, int] | None, rig: HeadRig, own: RigParams, driven: RigParams
) -> Views:
    """A camera for each timestep.

    Args:
        camera: `FRONT`, `ORBIT`, or the path of a `cameras.json`, whose first camera it is.
        size: width and height (pixels) of the images; `SIZE`, or that of the file's camera if None.
        own: of the avatar: its mean pose is looked at.
        driven: T timesteps.
    Raises:
        UserError: a file that cannot be read, distorts, or is of another shape than `size`.
    """
    if camera == FRONT:
        return views.front(rig, own, *(size or SIZE), len(driven))
    if camera == ORBIT:
        return views.orbit(rig, own, *(size or SIZE), torch.from_numpy(driven.time).float())
    if Path(camera).suffix != ".json":
        raise UserError(f"--camera {camera}: expected {FRONT}, {ORBIT} or a cameras.json")
    return _of_file(Path(camera), size, len(driven))


def _of_file(path: Path, size: tuple[int, int] | None, count: int) -> Views:
    """The first camera of a file, its image resized."""
    cameras = Cameras.load(path)
    if cameras.distortion[0].any():
        raise UserError(
            f"{path}: camera {cameras.ids[0]} has lens distortion, which is not rendered: "
            "set it to zero"
        )
    width, height = (int(side) for side in cameras.sizes[0])
    size = size or (width, height)
    if abs(size[0] * height - size[1] * width) > max(width, height):  # a pixel of rounding
        raise UserError(
            f"--size {size[0]}x{size[1]}: camera {cameras.ids[0]} of {path} has "
            f"{width}x{height}: give a size of that shape"
        )
    K = torch.from_numpy(cameras.Ks[0]).float()
    K[:2] *= torch.tensor([[size[0] / width], [size[1] / height]])
    viewmat = torch.from_numpy(cameras.viewmats[0]).float()
    return Views(viewmat.expand(count, 1, 4, 4), K.expand(count, 1, 3, 3), size[0], size[1])
