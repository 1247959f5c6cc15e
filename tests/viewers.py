"""A client of a viewer over a real websocket, in the place of viser's page."""

import socket
import time
from collections.abc import Callable
from typing import Any

import cv2
import msgspec
import numpy as np
import viser
import zstandard
from jaxtyping import UInt8
from viser import _messages
from websockets.sync.client import connect

from avatar.animate.loaded import HeadAvatar
from avatar.rig.rotations import matrix_to_quat
from avatar.viewer.camera import Eye, start
from avatar.viewer.viewer import Viewer

PATIENCE = 120  # seconds: the first picture of a process may have to wait for compiled kernels


def _messages_in(data: bytes) -> list[dict[str, Any]]:
    """viser's frame: two lengths, then MessagePack in Zstandard."""
    size = int.from_bytes(data[8:16], "little")
    return msgspec.msgpack.decode(zstandard.decompress(data[16 : 16 + size]))["messages"]


class Client:
    """What viser's page does: it says where its camera is, moves controls, gets pictures."""

    def __init__(self, port: int, host: str = "127.0.0.1", origin: str | None = None) -> None:
        """Connect.

        Args:
            host: that the request names; it goes to 127.0.0.1 in any case.
            origin: of the page; none if None.
        """
        self._socket = connect(
            f"ws://{host}:{port}",
            sock=socket.create_connection(("127.0.0.1", port)),
            origin=origin,  # type: ignore[arg-type]
            subprotocols=[f"viser-v{viser.__version__}"],  # type: ignore[list-item]
            max_size=None,
            close_timeout=0.2,  # pictures that nobody read
        )

    def look(self, eye: Eye) -> None:
        """Tell where the camera is."""
        width, height = eye.size
        self._send(
            _messages.ViewerCameraMessage(
                eye.wxyz, eye.position, eye.fov, 0.01, 100.0, height, width, (0, 0, 0), (0, 1, 0)
            )
        )

    def move(self, handle: Any, value: object) -> None:
        """Move a control."""
        self._send(_messages.GuiUpdateMessage(handle._impl.uuid, {"value": value}))

    def press(self, handle: Any) -> None:
        """Press a button."""
        self.move(handle, True)

    def _send(self, message: _messages.Message) -> None:
        self._socket.send(msgspec.msgpack.encode(message.as_serializable_dict()))

    def picture(
        self, work: Callable[[], None] = lambda: None, kind: str = "png"
    ) -> UInt8[np.ndarray, "H W 3"]:
        """The next picture of a kind.

        Args:
            work: called until it arrives.
        """
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            work()
            try:
                data = self._socket.recv(timeout=0.01)
            except TimeoutError:
                continue
            assert isinstance(data, bytes)
            for message in _messages_in(data):
                if message.get("format") == kind and message.get("rgb_data"):
                    image = np.frombuffer(message["rgb_data"], np.uint8)
                    return cv2.imdecode(image, cv2.IMREAD_COLOR)[..., ::-1]
        raise AssertionError(f"no {kind} in {PATIENCE} seconds")

    def drain(self) -> None:
        """Read all pictures until the connection ends."""
        for _ in self._socket:
            pass

    def close(self) -> None:
        """Disconnect."""
        self._socket.close()


def front_eye(shown: HeadAvatar, size: tuple[int, int]) -> Eye:
    """The camera that a page begins with."""
    viewmat = shown.front(size).viewmats[0, 0]
    w, x, y, z = matrix_to_quat(viewmat[:3, :3].mT).tolist()
    at = start(shown)
    px, py, pz = at.position.tolist()
    return Eye((w, x, y, z), (px, py, pz), at.fov, size)


def joined(viewer: Viewer, shown: HeadAvatar, size: tuple[int, int]) -> Client:
    """A client that the viewer knows, before the face."""
    client = Client(viewer.server.get_port())
    client.look(front_eye(shown, size))
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if viewer.connected:
            return client
        viewer.wait(0.01)
    raise AssertionError(f"not connected in {PATIENCE} seconds")
