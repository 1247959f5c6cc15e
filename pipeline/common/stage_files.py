"""Files that stages wrote, read again: whole, or one error line with the remedy."""

from pathlib import Path
from typing import Any

import pandas as pd

from avatar.base import files
from avatar.base.errors import UserError


def read_json(path: Path, remedy: str) -> dict[str, Any]:
    """An object of a JSON file; raises UserError with the remedy."""
    try:
        value = files.read_json(path)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: {remedy}") from None
    except (OSError, ValueError):
        value = None
    if not isinstance(value, dict):
        raise UserError(f"{path} is damaged: {remedy}")
    return value


def read_table(
    path: Path, texts: tuple[str, ...], numbers: tuple[str, ...], remedy: str
) -> pd.DataFrame:
    """A table with such columns, an empty number as NaN; raises UserError with the remedy."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        values = {
            name: pd.to_numeric(table[name].mask(table[name] == "")).astype(float)
            for name in numbers
        }
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: {remedy}") from None
    except (OSError, ValueError, KeyError):
        raise UserError(f"{path} is damaged: {remedy}") from None
    if table.empty or not set(texts) <= set(table):
        raise UserError(f"{path} has not the columns and rows of this version: {remedy}")
    return pd.DataFrame({name: table[name] for name in texts} | values)
