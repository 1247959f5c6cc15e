"""Which code this is: recorded in what training writes, and part of what names a run."""

import hashlib
from functools import lru_cache
from pathlib import Path

VERSION = "0.1.0"


@lru_cache(maxsize=1)
def code_hash() -> str:
    """Hash of the source of the package `avatar`: other code may give other results."""
    home = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for path in sorted(home.rglob("*.py")):
        digest.update(str(path.relative_to(home)).encode() + path.read_bytes())
    return digest.hexdigest()


def code_version() -> str:
    """The package's version and the first digits of `code_hash`: `0.1.0+1a2b3c4d5e6f`."""
    return f"{VERSION}+{code_hash()[:12]}"
