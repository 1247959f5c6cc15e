"""What every command line shares: logging, settings, one `error:` line, exit codes.

A stage's `main` parses, calls one typed function and prints its answer; `run_stage` wraps
that call with the subject's lock and the failure record that `tables` reads.
"""

import argparse
import atexit
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sized
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from tqdm import tqdm

from avatar.base import caches, files, locks, made, names, settings, slurm, system_errors
from avatar.base.errors import Busy, UserError, one_line, printable

log = logging.getLogger(__name__)

T = TypeVar("T")
INTERRUPTED = 75
_LEAVE = 20.0  # seconds before the end of its time in which a waiting job leaves


class Parser(argparse.ArgumentParser):
    """A parser that keeps the description's lines and answers a mistake with one `error:` line."""

    def __init__(self, prog: str, description: str | None = None, **options: Any) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(prog, description=description, **options)

    def error(self, message: str) -> NoReturn:
        self.exit(UserError.exit_code, f"error: {printable(message)}: see '{self.prog} --help'\n")


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


class _Formatter(logging.Formatter):
    """Log lines without the control characters that names and others' messages may contain."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = printable(record.message.replace("\n", " "))
        return super().formatMessage(record)


def set_up(args: argparse.Namespace) -> None:
    """Send log lines to stderr and find folders for caches; called once, by a `main`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
    level = logging.WARNING if args.quiet else logging.INFO
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for package in ("avatar", "pipeline"):
        logging.getLogger(package).setLevel(logging.DEBUG if args.verbose else logging.NOTSET)
    caches.use_writable_caches()


def run_stage(stage: str, args: argparse.Namespace, work: Callable[[], object]) -> int:
    """Run one stage of one subject; return the exit code.

    Takes the stage's lock, clears the old failure record and the stamps of this stage and of those
    after it (see `avatar.base.made`), and stamps the stage when it succeeds. On failure it leaves
    exactly one `error:` line on stderr and in `results/<subject>/failures/<stage>.json`.

    A job of a cluster waits for the lock, because the job of a workflow that was killed may still
    run; where that has made what this one is to make, it is done.
    """
    set_up(args)
    signal.signal(signal.SIGUSR1, _interrupt)  # Slurm can send it in time

    def locked() -> None:
        names.check_name(args.subject, "subject")
        if args.results.exists() and not args.results.is_dir():
            raise UserError(f"--results {args.results} is no folder: give another")
        home = args.results / args.subject
        made_from = getattr(args, "made_from", made.BY_HAND)
        lock = locks.lock(home / "locks" / f"{stage}.lock", _patience())
        with lock as waited, _recorded(home, stage):
            if waited and made.stamp(home, stage, made_from).exists():
                log.info("%s/%s was made by another job meanwhile", args.subject, stage)
                return
            made.clear(home, stage)
            began = time.monotonic()
            work()
            made.write(home, stage, made_from, time.monotonic() - began)

    return _finish(locked, f"{args.subject}/{stage} was interrupted: run it again")


def _patience() -> float:
    """How long (s) a job of a cluster can wait: until shortly before its end."""
    end = slurm.job_end()
    return end - time.time() - _LEAVE if end else 0.0


def run_command(args: argparse.Namespace, work: Callable[[], object]) -> int:
    """Run a command that belongs to no subject; return the exit code."""
    set_up(args)
    return _finish(work, "interrupted: run it again")


def _finish(work: Callable[[], object], interrupted: str) -> int:
    """Run to the end; report what the user can fix in one line and return the exit code."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        work()
        sys.stdout.flush()
    except KeyboardInterrupt:
        return report(Busy(interrupted))
    except BrokenPipeError:  # whoever read our lines has ended
        return INTERRUPTED
    except Exception as problem:
        expected = system_errors.as_user_error(problem)
        if expected is None:
            raise
        log.debug("the exception behind the next line", exc_info=problem)
        if system_errors.is_out_of_memory(problem):
            atexit.register(_silence)  # libraries fail once more at their end
        return report(expected)
    return 0


@contextmanager
def _recorded(home: Path, stage: str) -> Iterator[None]:
    """Clear the stage's failure record, and write it where the block fails."""
    record = home / "failures" / f"{stage}.json"
    record.unlink(missing_ok=True)
    try:
        yield
    except (Busy, BrokenPipeError):  # nothing failed
        raise
    except Exception as problem:
        expected = system_errors.as_user_error(problem)
        text = one_line(expected or problem)
        if expected is None:
            text = f"internal error: {type(problem).__name__}: {text}"
        try:
            code = expected.exit_code if expected else 1
            files.write_json(record, {"stage": stage, "error": text, "exit_code": code})
        except (OSError, UserError) as unwritten:
            log.warning("%s could not be written: %s", record, one_line(unwritten))
        raise


def report(problem: UserError) -> int:
    """Print the one `error:` line and return its exit code."""
    with suppress(BrokenPipeError):  # its reader has ended; the exit code remains
        print(f"error: {one_line(problem)}", file=sys.stderr, flush=True)
    return problem.exit_code


def _silence() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _interrupt(signum: int, frame: object) -> None:
    raise KeyboardInterrupt


def progress(
    items: Iterable[T],
    what: str,
    total: int | None = None,
    initial: int = 0,
    note: Callable[[], str] = str,
) -> Generator[T, None, None]:
    """Iterate with progress and time left: a bar on a terminal, else a line every few seconds.

    Args:
        total: how many items there are, those done before this call among them.
        initial: how many were done before.
        note: what stands behind the time left, asked when a line is shown.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    terminal = sys.stderr.isatty()
    bar = tqdm(
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
    with closing(bar):
        for item in bar:
            bar.set_postfix_str(note(), refresh=False)
            yield item
