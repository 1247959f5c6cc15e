"""The command line `headsplat view`."""

import socket
from pathlib import Path

import pytest

from avatar.rig import HeadRig
from avatar.viewer.__main__ import main
from tests.unit.avatar.animate.test_loaded import write_subject


@pytest.mark.parametrize("port", ["-1", "65536", "http", "8080.0", "9" * 5000, "²"])
def test_a_wrong_port_is_one_line(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["anna", f"--port={port}"])
    assert ended.value.code == 2
    text = capsys.readouterr().err
    assert text.startswith("error: argument --port: ")
    assert text.count("\n") == 1


def test_a_taken_port_and_an_unknown_subject_are_one_line(
    rig: HeadRig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_subject(tmp_path, rig)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["anna", "--results", str(tmp_path), "--port", str(port)]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"error: port {port} cannot be used")
    assert main(["bella", "--results", str(tmp_path), "--port", "0"]) == 2
    assert "train the subject first" in capsys.readouterr().err
