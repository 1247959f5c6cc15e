"""House rules that no other tool checks: python -m tests.mirror (part of `make check`)

- Each module `P/x.py` has its tests in `tests/unit/P/test_x.py`, and each such file tests a module
  (`test_main.py` a `__main__.py`, `test_init.py` an `__init__.py`).
- Sizes: at most 500 lines a file and 60 lines of code a function, medians of at most 130 and 9.
  Compiled kernels are exempt.
- Words that the documentation and the code avoid.

Exit code 1 where a rule is broken.
"""

import ast
import io
import re
import statistics
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("avatar", "pipeline")
KERNELS = {Path("avatar/render/cpu_kernels.py")}
MOST_LINES, MEDIAN_LINES = 500, 130  # of a file
MOST_CODE, MEDIAN_CODE = 60, 9  # of a function
NO_CODE = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
    tokenize.ENDMARKER,
}  # fmt: skip
# Plain technical words instead: fix, target, report, ignore, error, weight, confidence, outlier.
AVOIDED = re.compile(
    r"\bmend(s|ed|ing)?\b|\bbelie(f|fs|ve|ves|ved)\b|\bvoices?\b|\bto hold\b|\bno say\b|\ba say\b"
    r"|says what|what was understood|\bready tracks?\b",
    re.IGNORECASE,
)
TEXTS = (".md", ".py", ".yaml", ".smk", ".tsv", ".toml")
EXEMPT = {Path(name) for name in ("CHANGELOG.md", "tests/mirror.py", "tests/unit/test_mirror.py")}


def modules(root: Path) -> list[Path]:
    """All source files of the packages."""
    return [path for name in PACKAGES for path in sorted((root / name).rglob("*.py"))]


def test_of(module: Path) -> Path:
    """Where the tests of a module belong, both relative to the repository."""
    name = {"__main__": "main", "__init__": "init"}.get(module.stem, module.stem)
    return Path("tests/unit") / module.parent / f"test_{name}.py"


def unmirrored(root: Path) -> Iterator[str]:
    """Modules without tests, and test files without a module."""
    places = {test_of(path.relative_to(root)): path.relative_to(root) for path in modules(root)}
    for place, module in places.items():
        if module.stem[:2] != "__" and not (root / place).exists():
            yield f"{module} has no {place}"
    for name in PACKAGES:
        for path in sorted((root / "tests/unit" / name).rglob("test_*.py")):
            if path.relative_to(root) not in places:
                yield f"{path.relative_to(root)} tests no module of that name"


def code_lines(source: str) -> set[int]:
    """Numbers of the lines that have code."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {
        line
        for token in tokens
        if token.type not in NO_CODE
        for line in range(token.start[0], token.end[0] + 1)
    }


def function_sizes(source: str) -> Iterator[tuple[str, int]]:
    """Name of each function and lines of code in its body, docstring left out."""
    code = code_lines(source)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node, clean=False) else node.body
            first, last = (body[0].lineno, node.end_lineno or 0) if body else (1, 0)
            yield node.name, sum(line in code for line in range(first, last + 1))


def too_large(root: Path) -> Iterator[str]:
    """Files and functions over the limits, and medians over theirs."""
    lengths, sizes = [], []
    for path in [*modules(root), *sorted((root / "tests").rglob("*.py"))]:
        short, source = path.relative_to(root), path.read_text(encoding="utf-8")
        count = len(source.splitlines())
        if count > MOST_LINES and short not in KERNELS:
            yield f"{short} has {count} lines, at most {MOST_LINES}"
        if short.parts[0] == "tests":
            continue
        lengths.append(count)
        for name, size in function_sizes(source):
            sizes.append(size)
            if size > MOST_CODE and short not in KERNELS:
                yield f"{short}: {name} has {size} lines of code, at most {MOST_CODE}"
    for what, found, limit in (("file", lengths, MEDIAN_LINES), ("function", sizes, MEDIAN_CODE)):
        median = statistics.median(found)
        if median > limit:
            yield f"the median {what} has {median:g} lines, at most {limit}"


def avoided_words(root: Path, names: list[str]) -> Iterator[str]:
    """Lines with words to avoid, history and this check left out."""
    for name in names:
        path = root / name
        if path.suffix not in TEXTS or Path(name) in EXEMPT or not path.is_file():
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if found := AVOIDED.search(line):
                yield f"{name}:{number}: '{found[0]}'"


def tracked(root: Path) -> list[str]:
    """Files under version control."""
    command = ["git", "-C", str(root), "ls-files"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def main() -> int:
    """Print what breaks a rule."""
    broken = [*unmirrored(ROOT), *too_large(ROOT), *avoided_words(ROOT, tracked(ROOT))]
    print("\n".join([*broken, f"tests.mirror: {len(broken)} findings"]))
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
