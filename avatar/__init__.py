"""The avatar: rig, Gaussians bound to it, renderers, training and pixel metrics."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from avatar.base.version import VERSION

if TYPE_CHECKING:
    from avatar.animate.loaded import HeadAvatar

__version__ = VERSION

# Worker threads sleep between parallel loops instead of spinning: a second process on the same
# cores otherwise makes a training step ten times slower. Read when OpenMP loads, hence here.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def load(home: str | Path, device: str = "cpu", rig: str | Path | None = None) -> "HeadAvatar":
    """A trained avatar to pose and render; see `avatar.animate.loaded.load`.

    Args:
        home: the subject's folder of results.
        device: where it is rendered, `cpu` or `cuda`.
        rig: the rig's npz file; the one in `rigs/` beside the subject if None.
    """
    from avatar.animate import loaded  # `import avatar` alone loads nothing heavy

    return loaded.load(home, device, rig)
