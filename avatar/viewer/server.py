"""The web server of a viewer: viser on 127.0.0.1, for pages that it served itself.

Any page that a browser shows may send requests to this machine. Those that name another host
(DNS rebinding) or that come from another origin are refused.
"""

import contextlib
import http.client
import io
import logging
import socket
import warnings
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import viser
import websockets.asyncio.server as web
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from avatar.base.errors import UserError

HOST = "127.0.0.1"
NAMES = (HOST, "localhost")  # the port may be another: of an SSH tunnel


class LocalServer(viser.ViserServer):
    """viser, reachable from this machine only; it prints nothing and shares nothing."""

    def __init__(self, port: int, label: str) -> None:
        """Start to serve.

        Args:
            port: 0 for any free one.
            label: shown above the controls.
        Raises:
            UserError: the port is taken.
        """
        check_free(port)
        logging.getLogger("websockets.server").setLevel(logging.CRITICAL)  # each odd request
        warnings.filterwarnings("ignore", "Queued a .* on a closed connection")  # it has left
        with _checking_requests(), _quiet():
            super().__init__(HOST, port, label, verbose=False)
        if port not in (0, self.get_port()):  # taken since
            self.stop()
            raise _taken(port, "another program was faster")
        self._check_refusal()
        self.gui.configure_theme(show_share_button=False, show_logo=False)

    @property
    def address(self) -> str:
        """What to open in a browser."""
        return f"http://{HOST}:{self.get_port()}"

    def request_share_url(self, verbose: bool = True) -> None:
        """Nothing: viser would let the whole internet in at a page's request."""

    def stop(self) -> None:
        """End all connections."""
        with _quiet():
            super().stop()

    def _check_refusal(self) -> None:
        """End at once if another version of viser would answer everybody."""
        connection = http.client.HTTPConnection(HOST, self.get_port(), timeout=10)
        connection.request("GET", "/", headers={"Host": "foreign.example"})
        status = connection.getresponse().status
        connection.close()
        if status != HTTPStatus.FORBIDDEN:
            self.stop()
            raise RuntimeError("this version of viser answers requests of foreign pages")


def refusal(headers: Headers) -> Response | None:
    """The answer to a request that names another host, or that comes from another origin."""
    hosts, origins = headers.get_all("Host"), headers.get_all("Origin")
    local = len(hosts) == 1 and hosts[0].partition(":")[0] in NAMES
    if local and all(origin == f"http://{hosts[0]}" for origin in origins):
        return None
    return Response(HTTPStatus.FORBIDDEN, "Forbidden", Headers({"Content-Length": "0"}), b"")


def check_free(port: int) -> None:
    """Refuse a port that cannot be served: viser would silently take the next.

    Raises:
        UserError: it is taken, or the system keeps it.
    """
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as asyncio does
        try:
            trial.bind((HOST, port))
        except OSError as problem:
            raise _taken(port, problem.strerror) from None


def _taken(port: int, why: str | None) -> UserError:
    return UserError(f"port {port} cannot be used: {why}: give another, or 0 for any that is free")


@contextlib.contextmanager
def _checking_requests() -> Iterator[None]:
    """A server that is started meanwhile asks `refusal` before it answers."""
    plain = web.serve

    def serve(*args: Any, process_request: Any, **options: Any) -> web.serve:
        def checked(connection: web.ServerConnection, request: Request) -> Response | None:
            return refusal(request.headers) or process_request(connection, request)

        return plain(*args, process_request=checked, **options)

    web.serve = serve  # type: ignore[assignment, misc]
    try:
        yield
    finally:
        web.serve = plain  # type: ignore[misc]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without viser's banners: stdout belongs to the command."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield
