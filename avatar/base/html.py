"""HTML pages of one file that ask for nothing: their head, their colours, their templates."""

import re
from collections.abc import Mapping
from html import escape
from importlib.resources import files as package_files

_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; {{allowed}}">
<link rel="icon" href="data:,">
<title>{{title}}</title>
<style>
{{colours}}{{style}}</style>
</head>
<body>
{{body}}
</body>
</html>
"""  # noqa: E501


def read(package: str, name: str) -> str:
    """A text file of a package."""
    return (package_files(package) / name).read_text(encoding="utf-8")


def theme() -> str:
    """The style of what most pages have: text, links, tables, states."""
    return read("avatar.base", "web/theme.css")


def document(title: str, style: str, body: str, allowed: str = "img-src data:") -> str:
    """A page, its colours those of both schemes (`web/colours.css`).

    Args:
        title: any text; it is escaped.
        style: CSS.
        body: HTML.
        allowed: what the page may load beside styles, as a Content-Security-Policy.
    """
    values = {"title": escape(title), "style": style, "body": body, "allowed": allowed}
    return fill(_HEAD, values | {"colours": read("avatar.base", "web/colours.css")})


def fill(template: str, values: Mapping[str, str]) -> str:
    """The template with `{{name}}` replaced by `values[name]`.

    One pass, so that nothing inserted is searched for places of other values.
    """
    return re.sub(r"\{\{(\w+)\}\}", lambda found: values[found[1]], template)
