"""Small text files that a user writes: read with a limit, or one error line with the remedy."""

from pathlib import Path

from avatar.base.errors import UserError, printable

LIMIT = 256 << 10  # bytes


def read_text(path: Path, limit: int = LIMIT) -> str:
    """Text of a small file in UTF-8, or in UTF-16 with its byte order mark.

    Raises:
        UserError: it cannot be read, is longer than `limit` bytes, or has another encoding.
    """
    try:
        if not path.is_file():
            raise UserError(f"{path} is {'no plain file' if path.exists() else 'missing'}")
        with open(path, "rb") as file:
            data = file.read(limit + 1)
    except OSError as problem:
        raise UserError(f"{path} cannot be read ({problem.strerror})") from None
    if len(data) > limit:
        raise UserError(f"{path} is longer than {limit >> 10} KiB: is it the right file?")
    return _decoded(path, data)


def _decoded(path: Path, data: bytes) -> str:
    utf16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = data.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as problem:
        line = data[: problem.start].count(b"\n") + 1
        raise UserError(
            f"{path}: line {line} is not UTF-8 (byte 0x{data[problem.start]:02x}): "
            "save the file as UTF-8 in your editor"
        ) from None
    if "\x00" in text:
        raise UserError(
            f"{path} contains NUL characters, as UTF-16 without a byte order mark does: "
            "save the file as UTF-8 in your editor"
        )
    return text.replace("\r\n", "\n").replace("\r", "\n")


def shown(text: object, limit: int = 400) -> str:
    """Text for a terminal or a table: one line, control characters escaped, not too long."""
    safe = printable(" ".join(str(text).split()))
    return safe if len(safe) <= limit else safe[: limit - 3] + "..."
