"""What the layouts of other projects share: names by our rules, JSON objects."""

import re
from pathlib import Path
from typing import Any

from avatar.base import files
from avatar.base.errors import UserError


def clean(name: str) -> str:
    """A name by our rules; NeRSemble's contain '+'."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name).lstrip("_-")[:64] or "main"


def read_object(path: Path, what: str) -> dict[str, Any]:
    """A JSON object from a plain file; `what` names it in messages."""
    if not path.is_file():
        raise UserError(f"{path} is not a plain file: expected {what}")
    try:
        value = files.read_json(path)
    except (OSError, ValueError, RecursionError) as problem:
        raise UserError(f"{path}: not readable as JSON ({problem})") from None
    if not isinstance(value, dict):
        raise UserError(f"{path}: expected {what}, a JSON object")
    return value
