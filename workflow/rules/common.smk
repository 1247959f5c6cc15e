# Everything the rules share. No torch, no video, no model here.
import atexit
import csv
import json
import shlex
import sys
import time
from pathlib import Path

from snakemake.cli import get_argument_parser

from avatar.base import names
from avatar.base.errors import UserError

# The interpreter that runs Snakemake also runs the stages: no activation, on any node.
PYTHON = shlex.quote(sys.executable)
TABLES = '"$PYTHON" -m pipeline.evaluate.tables > /dev/null'
CAPTURES = Path("captures")
RESULTS = Path("results")
DEMO = "demo"
STARTED = time.time()
# Raise a stage's number when its code changes what it writes: finished subjects are then redone.
STAGE_VERSIONS = dict(
    rig=4, demo_capture=1, ingest=4, matte=5, track=6, pack=3, train=3, evaluate=1
)

# Rules call "$PYTHON". Numba reads its own variable; Snakemake sets OMP_NUM_THREADS to the job's
# threads. (Braces are doubled because the prefix is formatted with every command.)
shell.prefix(
    f"set -euo pipefail; PYTHON={PYTHON}; export NUMBA_NUM_THREADS=${{{{OMP_NUM_THREADS:-1}}}}; "
)


def stop(message):
    """End with the one line that a user's mistake deserves."""
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(2)


def read_subject_table(path):
    """Rows of config/subjects.tsv by subject; columns subject, capture, group, rig, preset."""
    columns = ["subject", "capture", "group", "rig", "preset"]
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file, delimiter="\t")
        if reader.fieldnames != columns:
            stop(f"{path}: expected the columns {columns}, got {reader.fieldnames}")
        rows = [{key: (row[key] or "").strip() for key in columns} for row in reader]
    repeated = {
        row["subject"]
        for row in rows
        if sum(r["subject"] == row["subject"] for r in rows) > 1
    }
    if repeated:
        stop(f"{path}: {', '.join(sorted(repeated))} is listed twice: keep one row")
    return {row["subject"]: row for row in rows}


def find_captures():
    """Subject -> its capture: every folder or file in captures/ but hidden ones and the README."""
    found = {}
    entries = sorted(CAPTURES.iterdir()) if CAPTURES.is_dir() else []
    for entry in entries:
        if entry.name.startswith(".") or entry.name == "README.md":
            continue
        subject = entry.name if entry.is_dir() else entry.stem
        if subject in found:
            stop(
                f"captures/: {found[subject].name} and {entry.name} are both '{subject}': rename one"
            )
        found[subject] = entry
    for subject, row in SUBJECT_TABLE.items():
        capture = Path(row["capture"]) if row["capture"] else found.get(subject)
        if capture is None or not capture.exists():
            stop(
                f"config/subjects.tsv: {subject} has no capture at {capture or CAPTURES / subject}"
            )
        found[subject] = capture
    return found


def check_names(subjects):
    for subject in subjects:
        try:
            names.check_name(subject, "subject")
        except UserError as problem:
            stop(problem)
        if subject == DEMO:
            stop(
                "captures/demo: 'demo' is the built-in demonstration: rename the capture"
            )


def check_targets():
    """A word on the command line that is no subject, no rule and no file gets a helpful line."""
    if not workflow.is_main_process or Path(sys.argv[0]).name != "snakemake":
        return
    arguments, _ = get_argument_parser().parse_known_args(sys.argv[1:])
    known = {rule.name for rule in workflow.rules} | set(SUBJECTS) | {"all"}
    for target in arguments.targets:
        if target in known or target.startswith(f"{RESULTS}/"):
            continue
        try:
            names.check_name(target, "subject")
        except UserError as problem:
            stop(problem)
        listing = ", ".join(s for s in SUBJECTS if s != DEMO) or "captures/ is empty"
        stop(
            f"no subject '{target}': put captures/{target}.mp4 in place (there are: {listing})"
        )


def finished(subject):
    """The file that says a subject is done."""
    return str(RESULTS / subject / "eval" / "summary.json")


def capture_of(wildcards):
    """The capture's path, as the stages take it."""
    if wildcards.subject == DEMO:
        return str(RESULTS / DEMO / "capture")
    return str(CAPTURE_OF[wildcards.subject])


def capture_files(wildcards):
    """What a capture consists of; a change to any of it redoes the subject."""
    if wildcards.subject == DEMO:
        return [str(RESULTS / DEMO / "capture" / "cameras.json")]
    capture = CAPTURE_OF[wildcards.subject]
    if not capture.is_dir():
        return [str(capture)]
    return sorted(str(path) for path in capture.rglob("*") if path.is_file())


def ready_files(wildcards):
    """Ready tracks that are given by their path; a change to them redoes the track."""
    path = Path(config["track"]["ready"].replace("{subject}", wildcards.subject))
    found = path.iterdir() if path.is_dir() else [path]
    return sorted(
        str(p) for p in found if p.suffix in (".npz", ".json") and p.is_file()
    )


def row_of(subject):
    return SUBJECT_TABLE.get(subject, {})


def rig_of(wildcards):
    """The baked rig's file of a subject."""
    return str(
        RESULTS
        / "rigs"
        / f"{row_of(wildcards.subject).get('rig') or config['rig']}.npz"
    )


def flame_of(wildcards):
    """The user's FLAME file, for the rig made from it."""
    return [config["flame"]] if wildcards.rig == "flame" and config["flame"] else []


def check_flame():
    """A rig without its file is noticed before anything runs."""
    rigs = {row_of(subject).get("rig") or config["rig"] for subject in SUBJECTS}
    if "flame" in rigs and not Path(config["flame"] or "").is_file():
        stop(
            f"config/config.yaml: flame is {config['flame']!r}, which is no file: the rig flame "
            "is made from your own FLAME file (README.md, FLAME)"
        )


def group_of(wildcards):
    return row_of(wildcards.subject).get("group", "")


def settings_of(stage):
    """A stage's part of the configuration as JSON: in `params`, so that a change redoes it."""

    def settings(wildcards):
        values = dict(config[stage])
        if stage == "train" and row_of(wildcards.subject).get("preset"):
            values["preset"] = row_of(wildcards.subject)["preset"]
        return json.dumps(values, sort_keys=True)

    return settings


def print_failures():
    """One line per job that failed in this run, last: `subject/stage: its error`."""
    for record in sorted(RESULTS.glob("*/failures/*.json")):
        if record.stat().st_mtime >= STARTED:
            message = json.loads(record.read_text(encoding="utf-8"))["error"]
            print(f"{record.parts[-3]}/{record.stem}: {message}", file=sys.stderr)


SUBJECT_TABLE = read_subject_table("config/subjects.tsv")
CAPTURE_OF = find_captures()
check_names(CAPTURE_OF)
SUBJECTS = [*sorted(CAPTURE_OF), DEMO]
check_flame()
