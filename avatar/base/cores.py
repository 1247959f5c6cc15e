"""How many cores this process works with: one number for everything that runs in threads."""

import os


def cores() -> int:
    """The job's threads, as Snakemake passes them in OMP_NUM_THREADS, but no more than there are.

    Without the variable: the cores that the process may run on.
    """
    there = len(os.sched_getaffinity(0))
    given = os.environ.get("OMP_NUM_THREADS", "")
    return min(int(given), there) if given.isdecimal() and int(given) > 0 else there
