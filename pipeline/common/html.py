"""HTML pages of one file: a template, and the style that they share."""

import re
from collections.abc import Mapping
from importlib.resources import files as package_files


def read(package: str, name: str) -> str:
    """A text file of a package."""
    return (package_files(package) / name).read_text(encoding="utf-8")


def theme() -> str:
    """The colours of both schemes, and the style of what every page has."""
    return read("pipeline.common", "web/theme.css")


def fill(template: str, values: Mapping[str, str]) -> str:
    """The template with `{{name}}` replaced by `values[name]`.

    One pass, so that nothing inserted is searched for places of other values.
    """
    return re.sub(r"\{\{(\w+)\}\}", lambda found: values[found[1]], template)
