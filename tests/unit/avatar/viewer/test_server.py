"""Who is answered: real requests to the real server."""

import http.client
import socket
from collections.abc import Iterator

import pytest
from websockets.exceptions import InvalidStatus

from avatar.base.errors import UserError
from avatar.viewer.server import LocalServer, check_free
from tests.viewers import Client


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    server = LocalServer(0, "anna")
    yield server
    server.stop()


def status(server: LocalServer, headers: dict[str, str]) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", server.get_port(), timeout=10)
    connection.putrequest("GET", "/", skip_host=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    return connection.getresponse().status


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_its_own_page_is_served(server: LocalServer, name: str) -> None:
    host = f"{name}:{server.get_port()}"
    assert status(server, {"Host": host}) == 200
    assert status(server, {"Host": host, "Origin": f"http://{host}"}) == 200
    Client(server.get_port(), name, f"http://{host}").close()


def test_a_tunnel_from_another_port_is_served(server: LocalServer) -> None:
    assert status(server, {"Host": "localhost:9", "Origin": "http://localhost:9"}) == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "0.0.0.0", ""]
)
def test_a_foreign_host_is_refused(server: LocalServer, host: str) -> None:
    port = server.get_port()
    assert status(server, {"Host": f"{host}:{port}"}) == 403
    if host:
        with pytest.raises(InvalidStatus) as refused:
            Client(port, host)
        assert refused.value.response.status_code == 403


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1:{port}"]
)
def test_a_foreign_origin_is_refused(server: LocalServer, origin: str) -> None:
    port = server.get_port()
    origin = origin.format(port=port)
    assert status(server, {"Host": f"127.0.0.1:{port}", "Origin": origin}) == 403
    with pytest.raises(InvalidStatus) as refused:
        Client(port, "127.0.0.1", origin)
    assert refused.value.response.status_code == 403


def test_only_this_machine_is_listened_to(server: LocalServer) -> None:
    assert server.get_host() == "127.0.0.1"
    with socket.socket() as other, pytest.raises(OSError, match="refused"):
        other.connect(("127.0.0.2", server.get_port()))


def test_a_taken_port_is_one_line(server: LocalServer) -> None:
    with pytest.raises(UserError, match=rf"port {server.get_port()} cannot be used: Address"):
        LocalServer(server.get_port(), "bella")
    check_free(0)


def test_nothing_is_published(server: LocalServer) -> None:
    assert server.request_share_url() is None
    assert server._share_tunnel is None


def test_stdout_stays_clean(capfd: pytest.CaptureFixture[str]) -> None:
    LocalServer(0, "bella").stop()
    assert capfd.readouterr() == ("", "")
