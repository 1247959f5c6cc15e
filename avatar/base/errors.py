"""The exceptions a user is meant to see, and their text on one harmless line."""


class UserError(Exception):
    """Something the user can fix: printed as one `error:` line, exit code 2.

    The message states what, where, expected, got, and what to do, on one line.
    """

    exit_code = 2


class Busy(UserError):
    """Somebody else holds the lock, or the work was interrupted: run me again, exit code 75."""

    exit_code = 75


def one_line(problem: BaseException) -> str:
    """The message of an exception on one line, fit for a terminal."""
    return printable(" ".join(str(problem).split()))


def printable(text: str) -> str:
    """Text in which no character moves the cursor, changes colours or turns the direction.

    File names and error messages of others can contain control characters and escape codes;
    these, and what has no visible form, are shown as Python writes them, such as `\\x1b`.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
