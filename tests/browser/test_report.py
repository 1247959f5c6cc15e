"""The report of a subject in a real browser: it shows its pictures, and asks for nothing."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from avatar.animate.loaded import HeadAvatar
from pipeline.common.gate import Quality
from pipeline.report.page import page
from pipeline.report.turntable import SIZE, turntable
from tests.browser.chromium import Page, find, visit
from tests.players import full_avatar, full_rig
from tests.unit.pipeline.report.test_blocks import NAME, report

pytestmark = pytest.mark.skipif(find() is None, reason="needs Chromium: apt-get install chromium")

FOCUS = "document.activeElement"
LONG = "landmarks_miss_by_" * 20  # a word that no line has room for


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rig = tmp_path_factory.mktemp("report"), full_rig()
    avatar = HeadAvatar(rig, full_avatar(rig))
    poster = avatar.render(avatar.pose(), SIZE)[0]
    shown = report(quality={"track": Quality({"jitter": 0.5}, [NAME, LONG], "fail")})
    shown = replace(shown, turntable=turntable(avatar, folder), poster=poster)
    path = folder / "report.html"
    path.write_text(page(shown), encoding="utf-8")
    return path


@pytest.fixture
def tab(browser: Page, html: Path) -> Iterator[Page]:
    """The page at first; see `visit`."""
    yield from visit(browser, html, "document.querySelectorAll('section').length > 7")


def test_pictures_are_decoded_and_names_are_text(tab: Page) -> None:
    decoded = "Promise.all([...document.images].map((image) => image.decode()))"
    assert tab.evaluate(f"{decoded}.then((all) => all.length)") == 3
    sizes = "[...document.images].map((image) => [image.naturalWidth, image.naturalHeight])"
    assert tab.evaluate(sizes) == [[64, 96]] * 3
    assert tab.evaluate("document.querySelector('h1').textContent") == NAME
    assert tab.evaluate("document.scripts.length") == 0


def test_the_turntable_plays(tab: Page) -> None:
    video = "document.querySelector('video')"
    assert tab.evaluate(f"{video}.play().then(() => {video}.duration)") == pytest.approx(
        6.0, abs=0.1
    )
    tab.wait_for(f"{video}.currentTime > 0.2")
    assert tab.evaluate(f"[{video}.videoWidth, {video}.videoHeight]") == list(SIZE)
    assert tab.evaluate(f"{video}.error") is None


def test_the_keyboard_reaches_everything(tab: Page) -> None:
    tab.key("Tab")
    assert tab.evaluate(f"{FOCUS}.className") == "skip"
    tab.key("Enter")
    assert tab.evaluate(f"{FOCUS}.id") == "main"
    tab.evaluate("document.querySelector('summary').focus()")
    tab.key("Enter")
    assert tab.evaluate("document.querySelector('details').open")
    tab.evaluate("document.querySelector('nav a[href=\"#provenance\"]').focus()")
    tab.key("Enter")
    tab.wait_for("document.getElementById('provenance').getBoundingClientRect().top < 600")
    unreachable = "[...document.querySelectorAll('.scroll')].filter((part) => part.tabIndex !== 0)"
    assert tab.evaluate(f"{unreachable}.length") == 0


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("size", [(390, 844), (1280, 800)])
def test_no_window_is_too_narrow(tab: Page, size: tuple[int, int], dark: bool) -> None:
    tab.resize(*size, dark)
    assert tab.evaluate("document.documentElement.scrollWidth") == size[0]
    back = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (back == "rgb(20, 23, 29)") == dark
