"""The shell in which the workflow's commands run."""

import shlex

# Ctrl-C and a scheduler's signals reach the whole process group. `tee` must outlive them: a stage
# still reports its checkpoint when it is stopped.
_TEE = """tee() { (trap '' INT TERM HUP USR1; exec tee "$@"); }"""


def prefix(python: str) -> str:
    """What precedes every command; Snakemake formats it, so its braces are doubled.

    Args:
        python: the interpreter, which rules call as "$PYTHON"; a container has its own.
    """
    # Numba reads a variable of its own; Snakemake sets OMP_NUM_THREADS to the job's threads.
    lines = (
        "set -euo pipefail",
        f"PYTHON=${{HEADSPLAT_PYTHON:-{shlex.quote(python)}}}",
        "export NUMBA_NUM_THREADS=${OMP_NUM_THREADS:-1}",
        _TEE,
    )
    return "".join(f"{line}; " for line in lines).replace("{", "{{").replace("}", "}}")
