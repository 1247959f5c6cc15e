"""Renders what every connected browser looks at, whenever that changes.

All rendering happens in `Viewer.update`, in the thread of the caller; the server's own threads only
note what was moved. While something moves the picture is small; it is sharp once all is still.
"""

import threading
import time
from dataclasses import dataclass

import viser

from avatar.animate.loaded import HeadAvatar, to_bytes
from avatar.viewer import camera
from avatar.viewer.controls import Controls, posed
from avatar.viewer.panel import Panel
from avatar.viewer.server import LocalServer

MOVING, STILL = 1 << 17, 1 << 20  # pixels of a picture, at most
SETTLED = 0.3  # seconds without a change until the picture is rendered in full
QUALITY = 90  # of the JPEG images while something moves; still ones are lossless


@dataclass(frozen=True)
class _Picture:
    """What a client has been sent.

    Attributes:
        controls, eye, shown: what it shows; `shown` by identity.
        since: when controls and eye became so, seconds.
        sharp: whether it is as large as it will be.
    """

    controls: Controls
    eye: camera.Eye
    shown: HeadAvatar
    since: float
    sharp: bool


class Viewer:
    """An avatar in a browser; call `update` again and again, and `close` in the end.

    Attributes:
        panel: the controls.
        server: the web server.
    """

    def __init__(self, shown: HeadAvatar, port: int, label: str, training: bool = False) -> None:
        """Start to serve on 127.0.0.1.

        Args:
            port: 0 for any free one.
            label: shown above the controls.
            training: with a button that pauses.
        Raises:
            UserError: the port is taken.
        """
        self.server = LocalServer(port, label)
        self._changed = threading.Event()
        start = camera.start(shown)
        self.server.scene.set_up_direction(start.up)
        first = self.server.initial_camera
        first.position, first.look_at, first.fov = start.position, start.look_at, start.fov
        self.panel = Panel(self.server.gui, shown, self._changed.set, training)
        self._sent: dict[int, _Picture] = {}

        @self.server.on_client_connect
        async def _(client: viser.ClientHandle) -> None:
            @client.camera.on_update
            async def _(moved: viser.CameraHandle) -> None:
                self._changed.set()

            client.camera.fov = camera.field(start.fov, _eye(client.camera).size)
            self._changed.set()

    @property
    def connected(self) -> bool:
        """Whether anybody looks."""
        return bool(self.server.get_clients())

    def wait(self, seconds: float) -> None:
        """Sleep until something is moved, or for so long."""
        self._changed.wait(seconds)
        self._changed.clear()

    def update(self, shown: HeadAvatar, note: str = "") -> None:
        """Render for every client whose picture is old.

        Args:
            shown: the avatar; another object than last time if it has changed.
            note: told above the controls.
        """
        self.panel.advance(time.monotonic())
        clients = self.server.get_clients()
        self._sent = {key: sent for key, sent in self._sent.items() if key in clients}
        controls = self.panel.read()
        for key, client in clients.items():
            self._serve(key, client, shown, controls, note)

    def _serve(
        self, key: int, client: viser.ClientHandle, shown: HeadAvatar, controls: Controls, note: str
    ) -> None:
        now, eye = time.monotonic(), _eye(client.camera)
        before = self._sent.get(key)
        if before is None or (before.controls, before.eye) != (controls, eye):
            picture = _Picture(controls, eye, shown, now, sharp=False)
        elif now - before.since < SETTLED or (before.sharp and before.shown is shown):
            return
        else:
            picture = _Picture(controls, eye, shown, before.since, sharp=True)
        self._sent[key] = picture
        self._render(client, picture, note)

    def _render(self, client: viser.ClientHandle, picture: _Picture, note: str) -> None:
        shown, began = picture.shown, time.perf_counter()
        views = camera.views(picture.eye, STILL if picture.sharp else MOVING)
        red, green, blue = (value / 255 for value in picture.controls.background)
        pose = posed(shown, picture.controls)
        ((rgb, _),) = shown.frames(pose, views, (red, green, blue))
        seconds = time.perf_counter() - began
        client.scene.set_background_image(
            to_bytes(rgb)[0], "png" if picture.sharp else "jpeg", jpeg_quality=QUALITY
        )
        count = len(shown.avatar.gaussians)
        size = f"{views.width} x {views.height}"
        text = f"{count:,} Gaussians, {1000 * seconds:.0f} ms for {size} pixels"
        self.panel.tell(f"{note}\n\n{text}" if note else text)

    def close(self) -> None:
        """End the server."""
        self.server.stop()


def _eye(seen: viser.CameraHandle) -> camera.Eye:
    (w, x, y, z), (px, py, pz) = seen.wxyz.tolist(), seen.position.tolist()
    size = max(1, seen.image_width), max(1, seen.image_height)
    return camera.Eye((w, x, y, z), (px, py, pz), float(seen.fov), size)
