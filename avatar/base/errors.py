"""The one exception a user is meant to see."""


class UserError(Exception):
    """Something the user can mend: printed as one `error:` line, exit code 2.

    The message says what, where, expected, got, and what to do, on one line.
    """

    exit_code = 2


class Busy(UserError):
    """Somebody else holds the lock, or the work was interrupted: run me again, exit code 75."""

    exit_code = 75
