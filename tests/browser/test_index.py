"""The page of all subjects in a real browser: it sorts and filters, and asks for nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from avatar.base import files
from benchmarks.tables import write_crowd
from pipeline.evaluate.index import index
from pipeline.evaluate.summaries import read_results
from tests.browser.chromium import Page, find, visit

pytestmark = pytest.mark.skipif(find() is None, reason="needs Chromium: apt-get install chromium")

COUNT = 200
HOSTILE = "<img src=x onerror=alert(1)> no face"
NAMES = "[...document.querySelectorAll('tbody th')].map((cell) => cell.textContent)"
PSNR = "[...document.querySelectorAll('tbody tr')].map((row) => row.children[4].textContent)"
SHOWN = "document.getElementById('shown').textContent"
CHOOSE = """
Object.assign(document.getElementById("{}"), {{ value: "{}" }}).dispatchEvent(new Event("input"))
"""


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("crowd")
    write_crowd(results, COUNT)
    files.write_json(results / "zoe/failures/track.json", {"error": HOSTILE})
    (results / "subject_0001/report.html").touch()
    path = results / "index.html"
    path.write_text(index(results, read_results(results)), encoding="utf-8")
    return path


@pytest.fixture
def tab(browser: Page, html: Path) -> Iterator[Page]:
    """The page at first; see `visit`."""
    yield from visit(browser, html, "document.querySelector('tbody tr') !== null")


def test_all_subjects_are_there_with_pictures(tab: Page) -> None:
    names = tab.evaluate(NAMES)
    assert len(names) == COUNT + 1
    assert names == sorted(names)
    assert (
        tab.evaluate("document.getElementById('shown').textContent")
        == f"{COUNT + 1} of {COUNT + 1} subjects"
    )
    assert tab.evaluate("document.images.length") == COUNT * 19 // 20
    decoded = "Promise.all([...document.images].slice(0, 50).map((image) => image.decode()))"
    assert tab.evaluate(f"{decoded}.then((all) => all.length)") == 50
    assert tab.evaluate("document.querySelector('tbody a').getAttribute('href')") == (
        "subject_0001/report.html"
    )
    assert tab.evaluate("document.querySelectorAll('tbody a').length") == 1


def test_the_keyboard_sorts_and_filters(tab: Page) -> None:
    tab.evaluate("document.querySelectorAll('thead button')[3].focus()")
    for down in (False, True):
        tab.key("Enter")
        texts = tab.evaluate(PSNR)
        values = [float(text) for text in texts if text]
        assert values == sorted(values, reverse=down)
        assert len(values) == COUNT * 19 // 20
        assert texts[len(values) :] == [""] * (COUNT // 20 + 1), "without figures: last"
        sorted_by = "document.querySelector('[aria-sort]')"
        assert tab.evaluate(f"{sorted_by}.textContent") == "PSNR"
        order = tab.evaluate(f"{sorted_by}.getAttribute('aria-sort')")
        assert order == ("descending" if down else "ascending")
    tab.evaluate("document.getElementById('words').focus()")
    for key in "ZOE":
        tab.key(key)
    assert tab.evaluate(NAMES) == ["zoe"]
    assert tab.evaluate(SHOWN) == f"1 of {COUNT + 1} subjects"
    assert HOSTILE in tab.evaluate("document.querySelector('tbody').textContent")


def test_state_and_protocol_are_chosen(tab: Page) -> None:
    before = tab.evaluate(PSNR)
    tab.evaluate(CHOOSE.format("protocol", "novel_view"))
    assert [a == b for a, b in zip(before, tab.evaluate(PSNR), strict=True)].count(True) < COUNT / 4
    tab.evaluate(CHOOSE.format("state", "failed"))
    assert len(tab.evaluate(NAMES)) == COUNT // 20 + 1
    assert set(tab.evaluate(PSNR)) == {""}


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("size", [(390, 844), (1280, 800)])
def test_no_window_is_too_narrow(tab: Page, size: tuple[int, int], dark: bool) -> None:
    tab.resize(*size, dark)
    assert tab.evaluate("document.documentElement.scrollWidth") == size[0]
    back = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (back == "rgb(20, 23, 29)") == dark
