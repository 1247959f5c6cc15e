# Everything the rules share; what is plain Python is in pipeline/graph. No torch, no video here.
import atexit
import inspect
import json
import os
import shlex
import sys
import time
from functools import cache
from pathlib import Path

from snakemake.cli import get_argument_parser
from snakemake.jobs import Job
from snakemake.logging import logger
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

from avatar.base import made, names
from avatar.base.errors import UserError
from pipeline.graph import configuration, plan, resources
from pipeline.graph.attempts import Attempts
from pipeline.graph.captures import DEMO, FOLDER as CAPTURES, find_captures
from pipeline.graph.configuration import RESULTS
from pipeline.graph.failures import failure_lines
from pipeline.graph.fingerprint import Contents, contents
from pipeline.graph.shell import prefix
from pipeline.graph.subject_table import read_subject_table
from pipeline.common.text import shown

TABLES = '"$PYTHON" -m pipeline.evaluate.tables > /dev/null || true'
CACHE = Path(".snakemake/captures")
STARTED = time.time()
MOST_WARNINGS = 20

# The interpreter that runs Snakemake also runs the stages: no activation, on any node.
shell.prefix(prefix(sys.executable))


def stop(message):
    """End with the one line that a user's mistake deserves."""
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(2)


def or_stop(function, *arguments):
    """Call a function; a user's mistake ends the run with its one line."""
    try:
        return function(*arguments)
    except UserError as problem:
        stop(problem)


def find_subjects():
    """Subjects with a capture and settings that can be used; what is odd is left out."""
    reserved = {rule.name for rule in workflow.rules} | set(names.RESERVED_SUBJECTS)
    found = find_captures(CAPTURES, TABLE, reserved)
    settings = {}
    for subject in [*found.paths, DEMO]:
        try:
            settings[subject] = configuration.of_subject(
                subject, CONFIG, TABLE.get(subject)
            )
        except UserError as problem:
            found.refuse(subject, str(problem))
    return found, settings


def check_targets():
    """What is odd in captures/ is named; a target that cannot be made ends the run."""
    if not workflow.is_main_process:
        return
    known = {*SUBJECTS, *CAPTURE.refused}
    others = [p for p in configuration.SUBJECTS.glob("*.yaml") if p.stem not in known]
    warnings = [f"{reason}; it is left out" for reason in CAPTURE.refused.values()]
    warnings += [f"{path} is of no subject; it is ignored" for path in sorted(others)]
    for warning in warnings[:MOST_WARNINGS]:
        print(f"warning: {warning}", file=sys.stderr)
    if len(warnings) > MOST_WARNINGS:
        left = len(warnings) - MOST_WARNINGS
        print(f"warning: {left} more files are left out", file=sys.stderr)
    if Path(sys.argv[0]).name != "snakemake":
        return
    arguments, _ = get_argument_parser().parse_known_args(sys.argv[1:])
    check_results(arguments.dryrun)
    for target in arguments.targets:
        check_target(target)
    for_all = not (arguments.targets or arguments.unlock or arguments.lint)
    if for_all and CAPTURE.refused and not CAPTURE.paths:
        stop(next(iter(CAPTURE.refused.values())))


def check_results(dry_run):
    """Results can be written."""
    if RESULTS.is_symlink() or RESULTS.exists():
        if not RESULTS.is_dir():
            stop(f"{RESULTS} is no folder: move it away")
    home = RESULTS if RESULTS.exists() else Path()
    if not dry_run and not os.access(home, os.W_OK):
        stop(
            f"{home.absolute()} may not be written: change its rights, or work in a copy"
        )


def check_target(target):
    """A word on the command line that is no subject, no rule and no file gets a helpful line."""
    if target in CAPTURE.refused:
        stop(CAPTURE.refused[target])
    known = {rule.name for rule in workflow.rules} | set(SUBJECTS) | {"all"}
    if target in known or target.startswith(f"{RESULTS}/rigs/"):
        return
    parts = Path(target).parts
    if len(parts) > 1 and parts[0] == str(RESULTS):
        stop(
            f"{shown(target)} is made with its stage: run 'snakemake {parts[1]}', or "
            f"'snakemake {parts[1]} --until STAGE', one of {', '.join(made.STAGES)}"
        )
    or_stop(names.check_name, target, "subject")
    listing = ", ".join(s for s in SUBJECTS if s != DEMO) or "captures/ is empty"
    stop(
        f"no subject '{target}': put captures/{target}.mp4 in place (there are: {listing})"
    )


@cache
def contents_of(subject):
    """Names and hash of a subject's capture; the demo's follows from its code."""
    if subject == DEMO:
        made_by = [plan.VERSIONS["demo_capture"], plan.VERSIONS["rig"]]
        return Contents(("main/cam_00.mp4", "cameras.json"), json.dumps(made_by))
    return contents(CAPTURE.paths[subject], CACHE / f"{subject}.json")


@cache
def file_hash(path):
    return contents(Path(path)).hash


def rig_key(subject):
    """What a subject's rig is made from; a file that the user put there counts by its bytes."""
    rig, flame = SETTINGS[subject].rig, SETTINGS[subject].flame
    if rig not in configuration.RIGS:
        return [rig, file_hash(RESULTS / "rigs" / f"{rig}.npz")]
    return [rig, plan.VERSIONS["rig"], file_hash(flame) if rig == "flame" else ""]


def tracks_key(subject):
    """Hash of external tracks that are given by their path."""
    given = SETTINGS[subject].stages["track"].external
    if given in ("auto", "fit"):
        return ""
    return file_hash(given.replace("{subject}", subject))


@cache
def hashes(subject):
    """What every stage of a subject is made from."""
    if workflow.is_main_process:
        plan.tidy(RESULTS / subject)
    extra = {
        "track": [rig_key(subject), tracks_key(subject)],
        "evaluate": group_of(subject),
    }
    return plan.made_from(SETTINGS[subject], plan.VERSIONS, contents_of(subject), extra)


def with_signature(function):
    """A function with its signature, for which Snakemake asks several times in every job."""
    function.__signature__ = inspect.signature(function)
    return function


def group_of(subject):
    return TABLE[subject].group if subject in TABLE else ""


def done(stage):
    """Input: the stamp that says a stage is done with the present capture and settings."""

    @with_signature
    def stamp(wildcards):
        subject = wildcards.subject
        return str(made.stamp(RESULTS / subject, stage, hashes(subject)[stage]))

    return stamp


def finished(subject):
    """Input: the stamp of a subject's last stage."""
    return lambda wildcards: str(
        made.stamp(RESULTS / subject, "report", hashes(subject)["report"])
    )


def page(path, caption, category, label):
    """Input: a page for `snakemake --report`, where it is there; nothing depends on it."""
    text = f"report/{caption}.rst"
    flagged = report(str(path), text, category, labels={"page": label})
    return [flagged] if path.exists() else []


@cache
def report_of(subject):
    """Input: the report of a subject, for `snakemake --report`."""
    return page(RESULTS / subject / "report.html", "subject", "Subjects", subject)


def pages_of_all():
    """Input: the pages about all subjects, for `snakemake --report`."""
    folder = RESULTS / "tables"
    return [
        *page(RESULTS / "index.html", "index", "Tables", "all subjects"),
        *page(folder / "metrics.html", "metrics", "Tables", "metrics"),
        *page(folder / "metrics_regions.html", "metrics_regions", "Tables", "regions"),
    ]


def settings_of(stage):
    """A stage's settings as JSON. (Named `threads`, Snakemake does not compare them: the stamp
    has a hash of those that change the result.)"""
    return with_signature(
        lambda wildcards, threads: json.dumps(
            SETTINGS[wildcards.subject].values[stage], sort_keys=True
        )
    )


@with_signature
def capture_of(wildcards, threads):
    """The capture's path, as the stages take it."""
    if wildcards.subject == DEMO:
        return str(RESULTS / DEMO / "capture")
    return str(CAPTURE.paths[wildcards.subject])


def demo_capture(wildcards):
    """The demo's capture is made first; all others are there."""
    if wildcards.subject == DEMO:
        return [ancient(str(RESULTS / DEMO / "capture" / "cameras.json"))]
    return []


@with_signature
def rig_of(wildcards):
    """The baked rig's file of a subject; when it was baked does not count."""
    return ancient(str(RESULTS / "rigs" / f"{SETTINGS[wildcards.subject].rig}.npz"))


def asked(subject, stage, threads=2):
    """Memory (MB) and minutes that the next attempt of a stage asks for."""
    amount = (
        contents_of(subject).size / 1e9
        if stage == "ingest"
        else resources.thousands_of_images(RESULTS / subject)
    )
    return resources.ask(stage, amount, ATTEMPTS.scale(subject, stage), threads)


def memory_of(stage):
    return with_signature(
        lambda wildcards, threads: asked(wildcards.subject, stage, threads)[0]
    )


def minutes_of(stage):
    return with_signature(lambda wildcards: asked(wildcards.subject, stage)[1])


@with_signature
def cores_of_a_job(wildcards):
    """Threads of a stage that scales: subjects side by side share this machine's cores. On a
    cluster two, or what `set-threads` says."""
    cores = workflow.resource_settings.cores  # None with a cluster's executor
    if not workflow.is_main_process or not cores:
        return 2
    return max(2, cores // max(1, len(asked_subjects())))


@cache
def asked_subjects():
    """The subjects named on the command line; all where none is."""
    arguments, _ = get_argument_parser().parse_known_args(sys.argv[1:])
    named = [s for s in SUBJECTS if s in arguments.targets]
    return named or [s for s in SUBJECTS if s != DEMO]


def follow_attempts():
    """Have `pipeline.graph.attempts` decide which failed jobs are tried again, and note why they
    failed. Snakemake asks a job once after each failure, and compares the answer with the number
    of the attempt."""

    def restart_times(job):
        log = Path(*job.log[:1])
        number = job.dag.jobid(job)
        again = ATTEMPTS.ended(owner_of(job), job.rule.name, log, number)
        return job.attempt if again else 0

    ATTEMPTS.retries = workflow.execution_settings.retries
    logger.addHandler(ATTEMPTS)
    Job.restart_times = property(restart_times)


def keep_asking():
    """Have the executor ask for finished jobs as often as the profile's
    `seconds-between-status-checks`: Slurm's would ask ever less often while none has finished.
    """
    interval = RemoteExecutor.next_seconds_between_status_checks
    RemoteExecutor.next_seconds_between_status_checks = interval.setter(
        lambda executor, seconds: None
    )


def owner_of(job):
    """The subject of a job, or the rig."""
    values = job.wildcards_dict
    return values.get("subject") or values.get("rig") or DEMO


def flame_argument(wildcards, threads):
    """The user's FLAME file, for the rig made from it."""
    if wildcards.rig != "flame":
        return ""
    return f"--flame {shlex.quote(flame_file())}"


def flame_file():
    return next(s.flame for s in SETTINGS.values() if s.rig == "flame")


def check_flame():
    """There is one rig flame, of one file."""
    files = {s.flame for s in SETTINGS.values() if s.rig == "flame"}
    if len(files) > 1:
        stop(
            f"config/: {len(files)} files are given as flame: one rig serves all subjects"
        )


def print_failures():
    """One line for each job that failed in this run, last: `subject/stage: its error`."""
    failed = [
        (
            owner_of(job),
            job.rule.name,
            job.log[0] if job.log else "",
        )
        for job in workflow.scheduler.failed
        if not job.is_group()
    ]
    for line in failure_lines(RESULTS, STARTED, failed):
        print(line, file=sys.stderr)


ATTEMPTS = Attempts(RESULTS)
TABLE = or_stop(read_subject_table, configuration.TABLE)
CONFIG = or_stop(configuration.read_config, dict(config))
