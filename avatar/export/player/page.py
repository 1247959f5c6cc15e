"""The page: one HTML file with the player's scripts, its style and an avatar's data inside.

The scripts are modules in `web/`. A page that is opened from disk may not import files, so they
are joined into one script: in the order of `SCRIPTS`, without their import lines. The page forbids
itself every request (Content-Security-Policy).
"""

import base64
import re
from html import escape

from avatar.base import html

SCRIPTS = (
    "data", "rotations", "rig", "splats", "order", "view", "draw", "motion_file", "motion", "panel",
    "main",
)  # fmt: skip
_IMPORT = re.compile(r"^import [^;]*;\n", re.MULTILINE)
_ALLOWED = "script-src 'unsafe-inline'; img-src data: blob:"
_EXPORT = re.compile(r"^export ", re.MULTILINE)


def web(name: str) -> str:
    """A file of the player's source."""
    return html.read("avatar.export.player", f"web/{name}")


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
        "script": script(),
        "data": base64.b64encode(block).decode("ascii"),
    }
    body = html.fill(web("player.html"), values)
    return html.document(f"{subject} – headsplat", web("player.css"), body, _ALLOWED)
