"""Names of subjects, sequences and cameras: validated here and nowhere else.

Imports nothing but the standard library, so that the Snakefile can use it.
"""

import re

from avatar.base.errors import UserError

PATTERN = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
RESERVED_SEQUENCES = frozenset({"plates"})
# Folders and files that live beside the subjects under results/, and the graph's own targets.
RESERVED_SUBJECTS = frozenset({"all", "captures", "logs", "rigs", "status", "tables"})

_NAME = re.compile(PATTERN)


def is_name(name: str) -> bool:
    """Whether `name` may name a subject, sequence or camera."""
    return _NAME.fullmatch(name) is not None


def check_name(name: str, kind: str) -> str:
    """Return `name` unchanged where it is valid.

    Args:
        name: what the user gave.
        kind: `subject`, `sequence` or `camera`; used in the message and for reserved names.
    Raises:
        UserError: the name does not match `PATTERN` or is reserved for its kind.
    """
    if not is_name(name):
        raise UserError(
            f"{kind} name {name!r} is not allowed: expected a letter or digit, then at most 63 "
            "letters, digits, '_' or '-'; rename it"
        )
    reserved = {"subject": RESERVED_SUBJECTS, "sequence": RESERVED_SEQUENCES}.get(kind, frozenset())
    if name in reserved:
        raise UserError(f"{kind} name {name!r} is reserved by headsplat: rename it")
    return name
