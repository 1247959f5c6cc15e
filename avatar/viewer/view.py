"""Watch a finished avatar."""

import time
from pathlib import Path

import torch

import avatar
from avatar.base import names
from avatar.base.memory import keep_freed_memory
from avatar.render import default_device
from avatar.viewer.viewer import Viewer

TICK = 1 / 30  # seconds between two looks at the controls while the motion plays or settles


def view(subject: str, results: Path, port: int, rig: Path | None = None) -> None:
    """Serve the avatar of `results/<subject>` until Ctrl-C.

    Args:
        port: on 127.0.0.1; 0 for any free one.
        rig: the rig's npz file; the one in `results/rigs/` if None.
    Raises:
        UserError: no avatar, or the port is taken.
    """
    torch.set_num_threads(1)  # the renderer's threads use the cores
    keep_freed_memory()
    home = results / names.check_name(subject, "subject")
    shown = avatar.load(home, str(default_device()), rig)
    viewer = Viewer(shown, port, subject)
    print(f"{viewer.server.address} (Ctrl-C ends)", flush=True)
    try:
        while True:
            began = time.monotonic()
            viewer.update(shown)
            viewer.wait(max(0.0, TICK - (time.monotonic() - began)))
    except KeyboardInterrupt:
        return
    finally:
        viewer.close()
