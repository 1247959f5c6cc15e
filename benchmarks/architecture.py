"""Tree and import graph of docs/architecture.md: python -m benchmarks.architecture

Without `--write` it compares what it generates with what the page has (part of `make check`). Exit
code 1 where they differ, or where packages import each other in a circle.
"""

import argparse
import ast
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp

from avatar.base import files
from benchmarks import report

PAGE = report.ROOT / "docs/architecture.md"
ROOTS = ("avatar", "pipeline")
COMMAND = "python -m benchmarks.architecture --write"
Graph = dict[str, set[str]]


def tree(folder: Path, depth: int = 0) -> Iterator[str]:
    """A folder's packages, each with its first docstring line and the names of its modules."""
    names = sorted(path.stem for path in folder.glob("*.py") if path.stem[0] != "_")
    indent = "  " * depth
    head = f"{folder.name}/".ljust(16 - 2 * depth)
    yield f"{indent}{head} {summary(folder / '__init__.py')}".rstrip()
    width = 96 - len(indent)
    line = ""
    for name in names:
        if len(line) + len(name) > width:
            yield f"{indent}    {line}"
            line = ""
        line += f"{name} "
    if line:
        yield f"{indent}    {line.rstrip()}"
    for path in sorted(folder.iterdir()):
        if path.is_dir() and any(path.rglob("*.py")):
            yield from tree(path, depth + 1)


def summary(path: Path) -> str:
    """The first line of a module's docstring; empty where there is none."""
    if not path.exists():
        return ""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0]


def packages() -> Graph:
    """Which package of avatar/ and pipeline/ imports which, from the source."""
    graph = grimp.build_graph(*ROOTS)
    found: Graph = {}
    for module in graph.modules:
        for other in graph.find_modules_directly_imported_by(module):
            here, there = package(module), package(other)
            if here != there and "." in here and "." in there:
                found.setdefault(here, set()).add(there)
                found.setdefault(there, set())
    return found


def package(module: str) -> str:
    """`avatar.render.cpu` belongs to `avatar.render`."""
    return ".".join(module.split(".")[:2])


def reduced(graph: Graph) -> Graph:
    """The graph without the edges that others imply (of a graph without circles)."""
    reach: Graph = {}
    for name in TopologicalSorter(graph).static_order():
        reach[name] = set().union(*({other} | reach[other] for other in graph[name]))
    return {
        name: {there for there in others if not any(there in reach[via] for via in others)}
        for name, others in graph.items()
    }


def circle(graph: Graph) -> list[str]:
    """Packages that import each other in a circle; empty where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as problem:
        return problem.args[1]
    return []


def diagram(graph: Graph, root: str) -> str:
    """A Mermaid graph of the packages under `root`."""
    lines = ["```mermaid", "graph TD"]
    inner = {
        name: {other for other in others if other.startswith(f"{root}.")}
        for name, others in graph.items()
        if name.startswith(f"{root}.")
    }
    edges = inner if circle(inner) else reduced(inner)
    lines += [f"  {a} --> {b}" for a in sorted(edges) for b in sorted(edges[a])]
    return "\n".join([*lines, "```"]).replace(f"{root}.", "")


def contents(graph: Graph) -> dict[str, str]:
    """The body of each generated block of the page."""
    rows = [
        [f"`{name}`", " ".join(f"`{other}`" for other in sorted(graph[name]))]
        for name in sorted(graph)
    ]
    lines = [line for root in ROOTS for line in tree(report.ROOT / root)]
    return {
        "tree": "\n".join(["```", *lines, "```"]),
        "avatar": diagram(graph, "avatar"),
        "pipeline": diagram(graph, "pipeline"),
        "imports": report.table(["package", "imports"], rows),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    report.add_option(parser)
    args = parser.parse_args()
    graph = packages()
    text = new = PAGE.read_text(encoding="utf-8")
    for name, body in contents(graph).items():
        block = report.Block("generated", name, {"command": COMMAND}, f"{body}\n")
        new = report.replace(new, block)
    if args.write:
        files.write_text(PAGE, new)
    elif new != text:
        print(f"{PAGE.relative_to(report.ROOT)} is not current: run '{COMMAND}'")
    loop = circle(graph)
    if loop:
        print(f"packages import each other in a circle: {' -> '.join(loop)}")
    return int(bool(loop) or (new != text and not args.write))


if __name__ == "__main__":
    sys.exit(main())
