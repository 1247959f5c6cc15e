"""The pictures that a connected page gets."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from avatar.animate.loaded import HeadAvatar
from avatar.viewer.camera import field, views
from avatar.viewer.controls import Controls, posed
from avatar.viewer.viewer import MOVING, Viewer
from tests.players import full_avatar, full_rig
from tests.viewers import Client, front_eye, joined

SIZE = (640, 480)


@pytest.fixture(scope="module")
def shown() -> HeadAvatar:
    rig = full_rig()
    return HeadAvatar(rig, full_avatar(rig))


@pytest.fixture
def viewer(shown: HeadAvatar) -> Iterator[Viewer]:
    viewer = Viewer(shown, 0, "anna")
    yield viewer
    viewer.close()


def test_a_still_picture_has_the_true_colours(viewer: Viewer, shown: HeadAvatar) -> None:
    client = joined(viewer, shown, SIZE)
    sharp = client.picture(lambda: viewer.update(shown))
    pose = posed(shown, Controls(timestep=0))
    cameras = views(front_eye(shown, SIZE), SIZE[0] * SIZE[1])
    expected = shown.render(pose, cameras=cameras)[0]
    assert sharp.shape == expected.shape
    assert np.abs(sharp.astype(int) - expected).max() <= 1
    assert (sharp[0, 0] == 255).all(), "the background"


def test_moving_pictures_are_small_and_nothing_is_rendered_without_a_change(
    viewer: Viewer, shown: HeadAvatar, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = joined(viewer, shown, SIZE)
    small = client.picture(lambda: viewer.update(shown), "jpeg")
    assert small.shape[0] * small.shape[1] <= 1.01 * MOVING
    assert small.shape[1] / small.shape[0] == pytest.approx(4 / 3, rel=0.01)
    client.picture(lambda: viewer.update(shown))
    monkeypatch.setattr(viewer, "_render", lambda *_: pytest.fail("nothing has changed"))
    for _ in range(5):
        viewer.update(shown)


def test_a_narrow_page_sees_the_whole_head(viewer: Viewer, shown: HeadAvatar) -> None:
    joined(viewer, shown, (300, 600))
    (client,) = viewer.server.get_clients().values()
    before = front_eye(shown, SIZE).fov
    for _ in range(1000):
        if client.camera.fov != before:
            break
        viewer.wait(0.01)
    assert client.camera.fov == pytest.approx(field(before, (300, 600)))


def test_controls_change_the_picture_and_reset_brings_it_back(
    viewer: Viewer, shown: HeadAvatar
) -> None:
    client, panel = joined(viewer, shown, SIZE), viewer.panel

    def next_picture() -> np.ndarray:
        return client.picture(lambda: viewer.update(shown)).astype(int)

    before = next_picture()
    client.move(panel._joints["turn left"], 30.0)
    turned = next_picture()
    assert np.abs(turned - before).max() > 30
    client.move(panel._expressions[shown.rig.expr_names[0]], 3.0)
    assert np.abs(next_picture() - turned).max() > 3
    assert panel.read().joints == (("turn left", 30.0),)
    client.press(panel._reset)
    assert np.array_equal(next_picture(), before)
    client.move(panel._background, [10, 20, 30])
    assert next_picture()[0, 0].tolist() == [10, 20, 30]
    client.move(panel._timestep, 7)
    next_picture()
    assert panel.read().timestep == 7
    client.move(panel._recorded, False)
    next_picture()
    assert panel.read().timestep is None


def test_play_goes_through_the_recording(viewer: Viewer, shown: HeadAvatar) -> None:
    client, panel = joined(viewer, shown, SIZE), viewer.panel
    client.picture(lambda: viewer.update(shown))
    client.press(panel._play)
    while not panel.playing:
        viewer.wait(0.01)
    panel.advance(100.0)
    panel.advance(100.0 + 3.5 / panel._rate)
    assert panel.read().timestep == 3
    panel.advance(100.0 + (len(shown.recorded) + 1.5) / panel._rate)
    assert panel.read().timestep == 1
    client.press(panel._play)
    while panel.playing:
        viewer.wait(0.01)
    panel.advance(200.0)
    assert panel.read().timestep == 1


def test_two_pages_have_cameras_of_their_own(viewer: Viewer, shown: HeadAvatar) -> None:
    one, two = (joined(viewer, shown, size) for size in ((64, 48), (40, 40)))
    while len(viewer.server.get_clients()) < 2:
        viewer.wait(0.01)
    assert one.picture(lambda: viewer.update(shown)).shape == (48, 64, 3)
    assert two.picture(lambda: viewer.update(shown)).shape == (40, 40, 3)
    one.close()
    two.close()
    while viewer.connected:
        viewer.wait(0.01)
    viewer.update(shown)
    assert not viewer._sent


def test_the_text_tells_gaussians_and_time(viewer: Viewer, shown: HeadAvatar) -> None:
    client = joined(viewer, shown, (64, 48))
    client.picture(lambda: viewer.update(shown, "note"))
    count = len(shown.avatar.gaussians)
    assert viewer.panel._text.content.startswith(f"note\n\n{count:,} Gaussians, ")
    assert viewer.panel._text.content.endswith("64 x 48 pixels")


def test_a_page_that_lies_about_its_size_gets_a_picture(viewer: Viewer, shown: HeadAvatar) -> None:
    client = Client(viewer.server.get_port())
    client.look(replace(front_eye(shown, (8, 8)), size=(0, 0)))
    assert client.picture(lambda: viewer.update(shown)).shape == (1, 1, 3)
