"""What every command line shares: logging, settings, one `error:` line, exit codes.

A stage's `main` parses, calls one typed function and prints its answer; `run_stage` wraps
that call with the subject's lock and the failure record that `tables` reads.
"""

import argparse
import logging
import signal
import sys
from collections.abc import Callable, Generator, Iterable, Sized
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from tqdm import tqdm

from avatar.base import files, made, names, settings
from avatar.base.errors import Busy, UserError

T = TypeVar("T")
INTERRUPTED = 75


class Parser(argparse.ArgumentParser):
    """A parser that keeps the description's lines and answers a mistake with one `error:` line."""

    def __init__(self, prog: str, description: str | None = None, **options: Any) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(prog, description=description, **options)

    def error(self, message: str) -> NoReturn:
        self.exit(UserError.exit_code, f"error: {message}: see '{self.prog} --help'\n")


def command_parser(verb: str, description: str | None) -> Parser:
    """The parser of `headsplat <verb>`, with what every command takes."""
    parser = Parser(f"headsplat {verb}", description)
    loudness = parser.add_mutually_exclusive_group()
    loudness.add_argument("-v", "--verbose", action="store_true", help="log more")
    loudness.add_argument("-q", "--quiet", action="store_true", help="log warnings and errors only")
    return parser


def stage_parser(stage: str, description: str | None, settings_class: type) -> Parser:
    """The parser of a subject's stage; `--help` lists the settings of the stage."""
    parser = command_parser(stage, description)
    parser.add_argument("--subject", required=True, help="the subject's name")
    parser.add_argument("--results", type=Path, default=Path("results"), help="results folder")
    parser.add_argument(
        "--settings", default="{}", metavar="JSON", help="object of settings, see below"
    )
    parser.add_argument(
        "--set", action="append", default=[], dest="assignments", metavar="NAME=VALUE",
        help="one setting; may be repeated; overrides --settings",
    )  # fmt: skip
    parser.add_argument(
        "--made-from", default=made.BY_HAND, help="hash of the inputs; the workflow passes it"
    )
    parser.set_defaults(settings_class=settings_class)
    parser.epilog = f"settings and their defaults:\n{settings.describe(settings_class)}"
    return parser


def read_settings(stage: str, args: argparse.Namespace) -> Any:
    """The settings of a stage, of the dataclass that `stage_parser` was given."""
    return settings.read(args.settings_class, args.settings, args.assignments, stage)


def set_up_logging(args: argparse.Namespace) -> None:
    """Send log lines to stderr; called once, by a `main`."""
    logging.basicConfig(
        level=logging.WARNING if args.quiet else logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(message)s",
        datefmt="%H:%M:%S",
        force=True,
    )
    if args.verbose:
        for package in ("avatar", "pipeline"):
            logging.getLogger(package).setLevel(logging.DEBUG)


def run_stage(stage: str, args: argparse.Namespace, work: Callable[[], object]) -> int:
    """Run one stage of one subject; return the exit code.

    Takes the stage's lock, clears the old failure record and the stamps of this stage and of those
    after it (see `avatar.base.made`), and stamps the stage when it succeeds. On failure it leaves
    exactly one `error:` line on stderr and in `results/<subject>/failures/<stage>.json`.
    """
    set_up_logging(args)
    for asked_to_stop in (signal.SIGTERM, signal.SIGUSR1):  # Slurm can send the second in time
        signal.signal(asked_to_stop, _interrupt)
    try:
        names.check_name(args.subject, "subject")
    except UserError as problem:
        return report(problem)
    home = args.results / args.subject
    record = home / "failures" / f"{stage}.json"
    try:
        with files.lock(home / "locks" / f"{stage}.lock"):
            record.unlink(missing_ok=True)
            made.clear(home, stage)
            try:
                work()
                made.write(home, stage, getattr(args, "made_from", made.BY_HAND))
            except Busy:  # nothing failed
                raise
            except UserError as problem:
                files.write_json(record, {"stage": stage, "error": one_line(problem)})
                raise
            except BrokenPipeError:  # whoever read our lines was ended with us
                return INTERRUPTED
            except Exception as problem:
                text = f"internal error: {type(problem).__name__}: {one_line(problem)}"
                files.write_json(record, {"stage": stage, "error": text})
                raise
    except UserError as problem:
        return report(problem)
    except KeyboardInterrupt:
        return _interrupted(f"{args.subject}/{stage} was interrupted: run it again")
    return 0


def run_command(args: argparse.Namespace, work: Callable[[], object]) -> int:
    """Run a command that belongs to no subject; return the exit code."""
    set_up_logging(args)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        work()
    except UserError as problem:
        return report(problem)
    except KeyboardInterrupt:
        return _interrupted("interrupted: run it again")
    return 0


def _interrupted(message: str) -> int:
    try:
        return report(Busy(message))
    except BrokenPipeError:  # the `tee` of the workflow's rules gets the same signal
        return INTERRUPTED


def report(problem: UserError) -> int:
    """Print the one `error:` line and return its exit code."""
    print(f"error: {one_line(problem)}", file=sys.stderr)
    return problem.exit_code


def one_line(problem: BaseException) -> str:
    """The message of an exception on one line."""
    return " ".join(str(problem).split())


def _interrupt(signum: int, frame: object) -> None:
    raise KeyboardInterrupt


def progress(
    items: Iterable[T], what: str, total: int | None = None, initial: int = 0
) -> Generator[T, None, None]:
    """Iterate with progress and time left: a bar on a terminal, else a line every few seconds.

    Args:
        total: how many items there are, those done before this call among them.
        initial: how many were done before.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    terminal = sys.stderr.isatty()
    yield from tqdm(
        items,
        desc=what,
        total=total,
        initial=initial,
        mininterval=0.2 if terminal else 10.0,
        miniters=None if terminal else 1,
        ascii=not terminal,
        ncols=100,
        file=sys.stderr,
        disable=not logging.getLogger().isEnabledFor(logging.INFO),
    )
