"""Common and unusual inputs, and the expected outcome of ingest for each.

Every case builds a capture in an empty folder and names the outcome of ingest: `error` (one line,
exit code 2), `warn` or `pass` (exit code 0, status in `quality.json`), and a part of the message.
`benchmarks/hard_inputs.py` runs them all and writes docs/hard_inputs.md; tests run the quick ones.
"""

# Each module adds its cases: in the order of the table.
# isort: off
from tests.hard_cases import real, files, damaged, coded  # noqa: F401
from tests.hard_cases.folders import two_cameras
from tests.hard_cases.layouts import nersemble_folder, transforms_folder
from tests.hard_cases.case import CASES, Case
from tests.hard_cases.clips import encode, pictures, skip_frames
# isort: on

__all__ = [
    "CASES", "Case", "encode", "nersemble_folder", "pictures", "skip_frames",
    "transforms_folder", "two_cameras",
]  # fmt: skip
