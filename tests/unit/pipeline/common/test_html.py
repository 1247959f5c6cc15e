import pytest

from pipeline.common import html


def test_a_template_is_filled_in_one_pass() -> None:
    filled = html.fill("<p>{{one}}</p>{{two}}", {"one": "{{two}}", "two": "2"})
    assert filled == "<p>{{two}}</p>2"
    with pytest.raises(KeyError):
        html.fill("{{three}}", {})


def test_the_style_has_both_schemes() -> None:
    assert "prefers-color-scheme: dark" in html.theme()
