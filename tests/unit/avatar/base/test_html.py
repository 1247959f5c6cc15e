import re

import pytest

from avatar.base import html


def test_a_template_is_filled_in_one_pass() -> None:
    filled = html.fill("<p>{{one}}</p>{{two}}", {"one": "{{two}}", "two": "2"})
    assert filled == "<p>{{two}}</p>2"
    with pytest.raises(KeyError):
        html.fill("{{three}}", {})


def test_a_document_has_both_schemes_and_allows_what_it_names() -> None:
    page = html.document("a<b", "p { margin: 0; }", "<p>{{x}}</p>", "img-src data:")
    assert page.startswith('<!doctype html>\n<html lang="en">')
    assert "<title>a&lt;b</title>" in page
    assert "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\"" in page
    assert page.count("prefers-color-scheme: dark") == 1
    assert "p { margin: 0; }</style>" in page
    assert "<body>\n<p>{{x}}</p>\n</body>" in page


def test_every_colour_that_is_used_is_defined_once() -> None:
    colours = html.read("avatar.base", "web/colours.css")
    used = set(re.findall(r"var\((--\w+)\)", html.theme()))
    assert used
    for name in used:
        assert colours.count(f"{name}:") == 2, name  # once for each scheme
    assert "--" not in re.sub(r"var\(--\w+\)", "", html.theme())
