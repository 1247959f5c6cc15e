import base64
import re

from avatar.export.player.page import SCRIPTS, page, script, web

BLOCK = bytes(range(256))


def test_the_page_holds_everything() -> None:
    text = page(BLOCK, "anna")
    data = re.search(r'<script id="data"[^>]*>([^<]*)</script>', text)
    assert data is not None
    assert base64.b64decode(data[1]) == BLOCK
    assert "{{" not in text
    assert "<title>anna – headsplat</title>" in text
    assert web("player.css") in text


def test_the_page_asks_for_nothing() -> None:
    text = page(b"", "anna")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    assert policy[1].startswith("default-src 'none';")
    assert not re.findall(r"https?:|//[a-z]+\.|\bfetch\(|XMLHttpRequest|@import|<script src", text)


def test_names_are_text_whatever_they_are() -> None:
    text = page(b"", "</title><script>alert('\"&{{data}}")
    assert "<script>alert" not in text
    assert "&lt;/title&gt;&lt;script&gt;alert(&#x27;&quot;&amp;{{data}}" in text


def test_every_module_is_in_the_script_before_those_that_use_it() -> None:
    known: set[str] = set()
    for name in SCRIPTS:
        imported = set(re.findall(r'from "\./(\w+)\.js"', web(f"{name}.js")))
        assert imported <= known, f"{name}.js imports {imported - known} too early"
        known.add(name)


def test_the_joined_script_has_no_module_syntax_and_no_name_twice() -> None:
    text = script()
    assert not re.search(r"^(import|export) ", text, re.MULTILINE)
    names = re.findall(r"^(?:async )?(?:function|class|const|let) (\w+)", text, re.MULTILINE)
    assert len(names) == len(set(names))
    assert "</script" not in text
