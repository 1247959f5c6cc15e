"""The controls themselves; tests/unit/avatar/viewer/test_viewer.py moves them over a websocket."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from avatar.animate.loaded import HeadAvatar
from avatar.animate.motion import moved
from avatar.viewer.controls import JOINTS, Controls
from avatar.viewer.panel import Panel
from avatar.viewer.server import LocalServer
from tests.players import full_avatar, full_rig


@pytest.fixture(scope="module")
def shown() -> HeadAvatar:
    rig = full_rig()
    return HeadAvatar(rig, full_avatar(rig))


@pytest.fixture
def server() -> Iterator[LocalServer]:
    server = LocalServer(0, "anna")
    yield server
    server.stop()


def test_there_is_a_slider_for_each_joint_and_expression(
    server: LocalServer, shown: HeadAvatar
) -> None:
    changes: list[int] = []
    panel = Panel(server.gui, shown, lambda: changes.append(1), training=False)
    assert panel.read() == Controls(timestep=0)
    assert list(panel._joints) == list(JOINTS)
    assert list(panel._expressions) == shown.rig.expr_names
    panel._expressions[shown.rig.expr_names[2]].value = 0.5
    panel._joints["nod"].value = -10.0
    assert panel.read().expressions == ((shown.rig.expr_names[2], 0.5),)
    assert panel.read().joints == (("nod", -10.0),)
    panel.reset()
    assert panel.read() == Controls(timestep=0)


def test_training_is_paused_and_resumed(server: LocalServer, shown: HeadAvatar) -> None:
    panel = Panel(server.gui, shown, lambda: None, training=True)
    assert panel._pause.label == "Pause training"
    panel._toggle_pause()
    assert panel.paused
    assert panel._pause.label == "Resume training"
    panel.resume()
    panel.resume()
    assert not panel.paused
    assert panel._pause.label == "Pause training"


def test_an_avatar_of_one_image_has_one_timestep(server: LocalServer, shown: HeadAvatar) -> None:
    poses = {"expr": shown.recorded.expr[:1]}
    single = moved(shown.recorded, poses, torch.zeros(1).numpy())
    one = replace(shown, avatar=replace(shown.avatar, params=single))
    panel = Panel(server.gui, one, lambda: None, training=False)
    panel._timestep.value = 1
    assert panel.read().timestep == 0
    panel._toggle_play()
    panel.advance(1.0)
    panel.advance(9.0)
    assert panel.read().timestep == 0


def test_the_text_is_sent_when_it_changes(server: LocalServer, shown: HeadAvatar) -> None:
    panel = Panel(server.gui, shown, lambda: None, training=False)
    panel.tell("5 Gaussians")
    assert panel._text.content == "5 Gaussians"
