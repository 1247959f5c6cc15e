"""The shell in which the workflow's commands run."""

import shlex

# Ctrl-C and a scheduler's signals reach the whole process group. `tee` must outlive them: a stage
# still reports its checkpoint when it is stopped.
# Before a job runs, Snakemake removes the log that it declares. Under Slurm the job before may
# still run and write (its Snakemake was killed): each has a log of its own, and the declared one is
# a link to that of the newest.
_TEE = """tee() {
(trap '' INT TERM HUP USR1; log=$1
if [ "${SLURM_JOB_ID:-}" ]; then
log=${1%.log}.$SLURM_JOB_ID.log; ln -sf "${log##*/}" "$1" || log=$1
fi
exec tee "$log"); }"""


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
