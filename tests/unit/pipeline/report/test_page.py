"""The whole page."""

import re
from typing import Any

from pipeline.report.blocks import BLOCKS, Detail, contents
from pipeline.report.page import DETAILS, page
from tests.unit.pipeline.report.test_blocks import NAME, report


def html(**changes: Any) -> str:
    return page(report(**changes))


def test_names_are_text() -> None:
    text = html()
    assert "<img src=x" not in text
    assert text.count("&lt;img src=x") > 8
    assert text.count("<img ") == 3
    assert NAME not in text
    assert "{{" not in text


def test_the_page_forbids_requests_and_has_no_script() -> None:
    text = html()
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:" in text
    assert "<script" not in text
    assert re.findall(r' (?:src|href|poster)="(?!#|data:)[^"]*"', text) == []


def test_every_section_is_there_and_linked() -> None:
    text = html()
    named = [part["block"] for part in contents()["sections"]]
    assert sorted(named) == sorted(BLOCKS)
    assert re.findall(r'<section id="(\w+)"', text) == named
    assert re.findall(r'<li><a href="#(\w+)">', text) == named


def test_an_outdated_avatar_is_named_first() -> None:
    assert 'class="notice"' not in html()
    text = html(state="outdated")
    assert text.index('class="notice"') < text.index("<section")


def test_coarser_pictures_make_a_smaller_page() -> None:
    sizes = [len(page(report(), detail)) for detail in (*DETAILS, Detail(10, 20))]
    assert sizes == sorted(set(sizes), reverse=True)
