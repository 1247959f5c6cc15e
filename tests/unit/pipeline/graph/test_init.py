"""Snakemake reads the package at every start, also once for each job of a cluster."""

import subprocess
import sys

HEAVY = ("torch", "cv2", "av", "mediapipe", "numba", "scipy", "pandas", "h5py", "anny")
CODE = """
import sys
from pipeline.graph import captures, configuration, failures, fingerprint, plan, subject_table
print([name for name in {heavy} if name in sys.modules])
"""


def test_nothing_heavy_is_imported() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", CODE.format(heavy=HEAVY)], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"
