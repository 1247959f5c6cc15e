"""The page: one HTML file with the player's scripts, its style and an avatar's data inside.

The scripts are modules in `web/`. A page that is opened from disk may not import files, so they
are joined into one script: in the order of `SCRIPTS`, without their import lines. The page forbids
itself every request (Content-Security-Policy).
"""

import base64
import re
from html import escape
from importlib.resources import files as package_files

SCRIPTS = (
    "data", "rotations", "rig", "splats", "order", "view", "draw", "motion_file", "motion", "panel",
    "main",
)  # fmt: skip
_IMPORT = re.compile(r"^import [^;]*;\n", re.MULTILINE)
_EXPORT = re.compile(r"^export ", re.MULTILINE)


def web(name: str) -> str:
    """A file of the player's source."""
    return (package_files("avatar.export.player") / "web" / name).read_text(encoding="utf-8")


def script() -> str:
    """All modules of the player as one."""
    parts = [_EXPORT.sub("", _IMPORT.sub("", web(f"{name}.js"))) for name in SCRIPTS]
    return "\n".join(parts)


def page(block: bytes, subject: str) -> str:
    """The whole HTML file.

    Args:
        block: `contents.player_block`.
        subject: any text; it is escaped.
    """
    values = {
        "title": escape(subject),
        "style": web("player.css"),
        "script": script(),
        "data": base64.b64encode(block).decode("ascii"),
    }
    # One pass, so that nothing inserted is searched for places of other values.
    return re.sub(r"\{\{(\w+)\}\}", lambda found: values[found[1]], web("player.html"))
