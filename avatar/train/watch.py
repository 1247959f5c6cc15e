"""A run of training in a viewer: its picture, its loss, and a button that pauses it.

Pictures are rendered between two steps, in the thread that trains, and only while somebody looks.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import replace

from avatar.animate.loaded import HeadAvatar
from avatar.base.errors import one_line
from avatar.rig import HeadRig
from avatar.train.trainer import Trainer
from avatar.viewer.viewer import Viewer

log = logging.getLogger(__name__)

REFRESH = 1.0  # seconds between two looks at the Gaussians while nothing is moved
TICK = 1 / 30  # seconds between two looks at the controls while training waits


class Watch:
    """Call `step` after every step, and `close` in the end.

    Attributes:
        viewer: None after it has failed.
    """

    def __init__(self, trainer: Trainer, rig: HeadRig, port: int, label: str) -> None:
        """Start to serve.

        Args:
            rig: on the CPU.
            port: on 127.0.0.1; 0 for any that is free.
            label: shown above the controls.
        Raises:
            UserError: the port is taken.
        """
        self._trainer, self._rig = trainer, rig
        self._refresh()
        self.viewer: Viewer | None = Viewer(self._shown, port, label, training=True)
        log.info("viewer: %s", self.viewer.server.address)

    def step(self, stopped: Callable[[], bool]) -> None:
        """Render what somebody looks at; return at once where nobody does.

        Args:
            stopped: whether training was told to end; then it is no longer paused.
        """
        if self.viewer is None:
            return
        try:
            self._serve(self.viewer, stopped)
        except Exception as problem:  # a picture is not worth a run
            log.warning("the viewer failed, training goes on: %s", one_line(problem))
            log.debug("the exception behind the last line", exc_info=problem)
            self.close()
            self.viewer = None

    def _serve(self, viewer: Viewer, stopped: Callable[[], bool]) -> None:
        if viewer.connected:
            if viewer.panel.paused or time.monotonic() - self._since > REFRESH:
                self._refresh()
            viewer.update(self._shown, self._note(viewer))
        while viewer.panel.paused and viewer.connected and not stopped():
            viewer.wait(TICK)
            viewer.update(self._shown, self._note(viewer))
        if not viewer.connected:
            viewer.panel.resume()

    def _refresh(self) -> None:
        """Take the Gaussians of this step; they stay where training renders them."""
        trained = self._trainer.avatar({})
        gaussians = self._trainer.gaussians.detached()
        self._shown = HeadAvatar(self._rig, replace(trained, gaussians=gaussians))
        self._since = time.monotonic()

    def _note(self, viewer: Viewer) -> str:
        trainer = self._trainer
        state = "paused at step" if viewer.panel.paused else "step"
        note = f"{state} {trainer.step:,} of {trainer.total_steps:,}"
        if not trainer.log.rows:
            return note
        last = trainer.log.rows[-1]
        return f"{note}, loss {last.loss:.4f}, {last.psnr:.1f} dB"

    def close(self) -> None:
        """End the server."""
        if self.viewer is not None:
            self.viewer.close()
