"""Tables that scripts write into the documentation, and the check that they are current.

    python -m benchmarks.report            # `make docs-check`
    python -m benchmarks.report --renew    # runs the commands of all tables that are not current

A benchmark's table stands between two comments of a page:

    <!-- benchmark: NAME; commit: 0123abc; date: 2026-11-28; machine: CPU, 2 cores;
         files: avatar/losses; command: python -m benchmarks.ssim --write -->   (on one line)
    ...
    <!-- /benchmark -->

Every script in this folder prints its tables; with `--write` it also replaces what stands between
the comments of that name. The check fails for each table whose commit is older than the last
commit that changed one of the files it names, and prints the command that renews it. Text that
follows from the source alone (`<!-- generated: NAME; ... -->`) is compared by content instead.
"""

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from avatar.base import files as disk
from avatar.base.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"<!-- (benchmark|generated): (\w+);?(.*?) -->\n(.*?)<!-- /\1 -->", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """What stands between the comments of one table.

    Attributes:
        kind: `benchmark` or `generated`.
        name: unique within a page.
        fields: of a benchmark: commit, date, machine, files, command.
        body: the text between the comments.
    """

    kind: str
    name: str
    fields: dict[str, str]
    body: str


def blocks(text: str) -> list[Block]:
    """All marked tables of a page."""
    found = []
    for kind, name, given, body in BLOCK.findall(text):
        pairs = (part.partition(":") for part in given.split(";") if part.strip())
        fields = {key.strip(): value.strip() for key, _, value in pairs}
        found.append(Block(kind, name, fields, body))
    return found


def replace(text: str, block: Block) -> str:
    """The page with another body and other fields for the block of the same kind and name.

    Raises:
        UserError: the page has no such block.
    """
    given = "".join(f"; {key}: {value}" for key, value in block.fields.items())
    new = f"<!-- {block.kind}: {block.name}{given} -->\n{block.body}<!-- /{block.kind} -->"
    begin = rf"<!-- {block.kind}: {block.name}\b[^\n]*? -->\n"
    pattern = re.compile(begin + rf".*?<!-- /{block.kind} -->", re.DOTALL)
    if not pattern.search(text):
        raise UserError(
            f"the page has no block {block.name!r}: add the lines "
            f"'<!-- {block.kind}: {block.name} -->' and '<!-- /{block.kind} -->'"
        )
    return pattern.sub(lambda _: new, text, count=1)


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def add_option(parser: argparse.ArgumentParser) -> None:
    """The option that every benchmark has."""
    parser.add_argument("--write", action="store_true", help="also write the tables into docs/")


def subject_parser(description: str | None) -> argparse.ArgumentParser:
    """The command line of a benchmark that reads a finished subject."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--subject", default="demo")
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--rig", type=Path, default=Path("results/rigs/anny.npz"))
    add_option(parser)
    return parser


def publish(page: str, name: str, body: str, sources: Sequence[str], write: bool) -> None:
    """Print a table and, if asked for, write it into its page.

    Args:
        page: path in the repository, `docs/quality.md`.
        name: of the block.
        body: Markdown.
        sources: files and folders of the repository whose change makes the table old.
        write: whether to write it.
    Raises:
        UserError: the sources have changes that are not committed, or the page has no such block.
    """
    print(f"\n{body}", flush=True)
    if not write:
        return
    changed = git("status", "--porcelain", "--", *sources)
    if changed:
        raise UserError(
            f"{name}: {changed.split()[-1]} has changes that are not committed: "
            "commit them and measure again, so that the table can name its commit"
        )
    fields = {
        "commit": git("rev-parse", "--short", "HEAD"), "date": date.today().isoformat(),
        "machine": machine(), "files": " ".join(sources), "command": command(),
    }  # fmt: skip
    caption = "Measured {date} at commit {commit} on {machine}: `{command}`.".format(**fields)
    path = ROOT / page
    block = Block("benchmark", name, fields, f"{body}\n\n{caption}\n")
    disk.write_text(path, replace(path.read_text(encoding="utf-8"), block))


def command() -> str:
    """How this process was started, as one types it."""
    spec = sys.modules["__main__"].__spec__
    name = spec.name.removesuffix(".__main__") if spec else "?"
    return " ".join(["python -m", name, *sys.argv[1:]])


def machine() -> str:
    """The processor's name and the cores this process may use."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    names = re.findall(r"model name\s*: (.*)", info)
    return f"{names[0] if names else 'unknown CPU'}, {len(os.sched_getaffinity(0))} cores"


def git(*arguments: str) -> str:
    """What a git command prints; empty where it fails."""
    told = subprocess.run(
        ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False
    )
    return told.stdout.strip() if told.returncode == 0 else ""


def is_ancestor(old: str, new: str) -> bool:
    """Whether a commit is the other or comes before it."""
    arguments = ["git", "-C", str(ROOT), "merge-base", "--is-ancestor", old, new]
    return subprocess.run(arguments, capture_output=True, check=False).returncode == 0


def problem(block: Block) -> str:
    """Why a benchmark's table is not current; empty where it is."""
    renew = f"run '{block.fields.get('command', '?')}'"
    if not {"commit", "files"} <= block.fields.keys():
        return f"never measured: {renew}"
    commit, sources = block.fields["commit"], block.fields["files"].split()
    last = git("log", "-1", "--format=%h", "--", *sources)
    if not last:
        return f"no commit touches {' '.join(sources)}: correct its files"
    if is_ancestor(last, commit):
        return ""
    return f"measured at {commit}, its files changed in {last}: {renew}"


def pages() -> list[Path]:
    """Every page that may have tables."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def renew(tables: Iterable[Block]) -> None:
    """Run the commands of some tables, each once. Exit code 1 may mean a missed target."""
    commands = dict.fromkeys(block.fields.get("command", "") for block in tables)
    for text in filter(None, commands):
        print(f"$ {text}", flush=True)
        _, *arguments = text.split()  # python
        subprocess.run([sys.executable, *arguments], cwd=ROOT, check=False)


def check() -> list[Block]:
    """Print and return the tables that are not current."""
    count, old = 0, []
    for path in pages():
        for block in blocks(path.read_text(encoding="utf-8")):
            count += block.kind == "benchmark"
            if block.kind == "benchmark" and (why := problem(block)):
                print(f"{path.relative_to(ROOT)}: table '{block.name}': {why}")
                old.append(block)
    print(f"docs-check: {count} tables, {len(old)} not current", flush=True)
    return old


def main() -> int:
    """Check every table of every page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--renew", action="store_true", help="run the commands of old tables")
    args = parser.parse_args()
    if git("rev-parse", "--is-shallow-repository") != "false":
        print("docs-check: no full git history here: the age of the tables cannot be told")
        return 0
    old = check()
    if args.renew and old:
        renew(old)
        old = check()
    return int(bool(old))


if __name__ == "__main__":
    sys.exit(main())
