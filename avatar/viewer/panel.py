"""The controls beside the picture."""

from collections.abc import Callable
from typing import Any

import viser

from avatar.animate import motion
from avatar.animate.loaded import HeadAvatar
from avatar.viewer.controls import FREE_RANGE, JOINTS, Controls


class Panel:
    """Sliders and buttons of a viewer, the same for all who look.

    Attributes:
        playing: whether the recorded motion runs.
        paused: whether training waits.
    """

    def __init__(
        self, gui: viser.GuiApi, shown: HeadAvatar, changed: Callable[[], None], training: bool
    ) -> None:
        """Build it.

        Args:
            changed: called, in any thread, after a change of any control.
            training: with a button that pauses.
        """
        self._gui, self._changed, self._training = gui, changed, training
        self.playing = self.paused = False
        self._steps = len(shown.recorded)
        self._rate = motion.rate_of(shown.recorded)
        self._began = (0.0, 0)  # when playing began, and at which timestep
        self._text = gui.add_markdown("")
        if training:
            self._pause = self._button("Pause training", self._toggle_pause)
        with gui.add_folder("Recorded motion"):
            self._recorded = self._input(gui.add_checkbox("recorded", True))
            self._timestep = self._input(
                gui.add_slider("timestep", 0, max(1, self._steps - 1), 1, 0)
            )
            self._play = self._button("Play", self._toggle_play)
        with gui.add_folder("Head, jaw and gaze (degrees)"):
            self._joints = {
                name: self._slider(name, float(low), float(high), 0.5)
                for name, (_, _, low, high) in JOINTS.items()
            }
        low, high = (0.0, 1.0) if motion.is_arkit(shown.rig) else (-FREE_RANGE, FREE_RANGE)
        with gui.add_folder("Expressions", expand_by_default=False):
            self._expressions = {
                name: self._slider(name, low, high, 0.01) for name in shown.rig.expr_names
            }
        self._reset = self._button("Reset sliders", self.reset)
        self._background = self._input(gui.add_rgb("background", (255, 255, 255)))

    def _slider(self, name: str, low: float, high: float, step: float) -> Any:
        return self._input(self._gui.add_slider(name, low, high, step, 0.0))

    def _input(self, handle: Any) -> Any:
        @handle.on_update
        async def _(event: object) -> None:
            self._changed()

        return handle

    def _button(self, label: str, work: Callable[[], None]) -> Any:
        handle = self._gui.add_button(label)

        @handle.on_click
        async def _(event: object) -> None:
            work()
            self._changed()

        return handle

    def _toggle_pause(self) -> None:
        self.paused = not self.paused
        self._pause.label = "Resume training" if self.paused else "Pause training"

    def _toggle_play(self) -> None:
        self.playing = not self.playing
        self._began = (0.0, int(self._timestep.value))
        self._play.label = "Stop" if self.playing else "Play"

    def reset(self) -> None:
        """All sliders but the timestep's back to 0."""
        for handle in (*self._joints.values(), *self._expressions.values()):
            handle.value = 0.0

    def resume(self) -> None:
        """Go on with training: nobody is there who could press the button."""
        if self.paused:
            self._toggle_pause()

    def advance(self, now: float) -> None:
        """Move the recorded motion on, where it plays.

        Args:
            now: seconds of a steady clock.
        """
        if not self.playing:
            return
        since, first = self._began
        if not since:
            self._began = since, first = now, first
        self._timestep.value = (first + int((now - since) * self._rate)) % self._steps

    def read(self) -> Controls:
        """Where all controls stand."""
        step = min(int(self._timestep.value), self._steps - 1) if self._recorded.value else None
        joints, expressions = (
            tuple((name, float(h.value)) for name, h in handles.items() if h.value)
            for handles in (self._joints, self._expressions)
        )
        return Controls(step, joints, expressions, tuple(self._background.value))

    def tell(self, text: str) -> None:
        """Show a line of Markdown above the controls."""
        if self._text.content != text:
            self._text.content = text
