"""The viewer's page in a real browser."""

import threading
import time
from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pytest
from jaxtyping import Int16

from avatar.animate.loaded import HeadAvatar
from avatar.viewer.viewer import SETTLED, Viewer
from tests.browser.chromium import Page, find
from tests.players import full_avatar, full_rig

pytestmark = pytest.mark.skipif(find() is None, reason="needs Chromium: apt-get install chromium")

MOST_SECONDS = 60.0  # until the page shows what was asked for
PLACE = (slice(220, 600), slice(0, 560))  # without the panel and viser's notice
SLIDER = "document.querySelectorAll('[role=slider]')[{index}].focus()"
TURN_LEFT = 4  # place of the slider, from `timestep` on

Picture = Int16[np.ndarray, "H W 3"]


@pytest.fixture(scope="module")
def viewer() -> Iterator[Viewer]:
    """A viewer of the toy avatar that works until the tests are done."""
    rig = full_rig(actions=True)
    shown = HeadAvatar(rig, full_avatar(rig))
    viewer, ended = Viewer(shown, 0, "anna"), threading.Event()

    def work() -> None:
        while not ended.is_set():
            viewer.update(shown)
            viewer.wait(0.05)

    worker = threading.Thread(target=work)
    worker.start()
    yield viewer
    ended.set()
    worker.join()
    viewer.close()


@pytest.fixture(scope="module")
def tab(viewer: Viewer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    tab = Page(tmp_path_factory.mktemp("profile"))
    tab.resize(900, 600)
    tab.visit(viewer.server.address, "document.body.innerText.includes('Gaussians')")
    yield tab
    tab.close()


def seen(tab: Page, asked: Callable[[Picture], bool]) -> Picture:
    """The part of the window that only the avatar covers, once it is as asked for."""
    end = time.monotonic() + MOST_SECONDS
    while time.monotonic() < end:
        window = cv2.imdecode(np.frombuffer(tab.screenshot(), np.uint8), cv2.IMREAD_COLOR)
        picture = window[PLACE].astype(np.int16)
        if asked(picture):
            return picture
        time.sleep(0.2)
    raise AssertionError("the picture does not become so")


def settled(tab: Page) -> Picture:
    """The avatar once its picture stays: while the window settles, it is coarse or elsewhere."""
    last = seen(tab, lambda picture: picture.std() > 5)

    def stays(picture: Picture) -> bool:
        nonlocal last
        same, last = np.array_equal(picture, last), picture
        time.sleep(2 * SETTLED)
        return same

    return seen(tab, stays)


def test_a_slider_of_the_page_moves_the_avatar(viewer: Viewer, tab: Page) -> None:
    before = settled(tab)
    tab.evaluate(SLIDER.format(index=TURN_LEFT))
    tab.key("End")
    seen(tab, lambda picture: np.abs(picture - before).mean() > 3)
    assert viewer.panel.read().joints == (("turn left", 60.0),)
    viewer.panel.reset()
    seen(tab, lambda picture: np.abs(picture - before).mean() < 1)


def test_the_page_asks_only_this_machine(viewer: Viewer, tab: Page) -> None:
    own = (viewer.server.address, f"blob:{viewer.server.address}", "data:", "about:")
    assert [url for url in tab.requests if not url.startswith(own)] == []
