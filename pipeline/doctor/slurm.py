"""Whether `snakemake --profile slurm` can submit jobs from this machine."""

import importlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from avatar.base.cli import one_line
from avatar.base.slurm import run
from pipeline.doctor import slurm_job
from pipeline.doctor.finding import Finding, Status
from pipeline.doctor.machine import broken
from pipeline.graph.resources import COSTS

COMMANDS = ("sbatch", "squeue", "scancel", "sinfo", "scontrol", "srun")
PROFILE = Path("profiles/slurm/config.yaml")  # of the project in which Snakemake is started
_STORAGE = "AccountingStorageType"


@dataclass(frozen=True)
class Asked:
    """What a stage's job asks for.

    Attributes:
        stage: its name.
        partition: empty for the cluster's default.
        gres: such as `gpu:1`; empty for none.
        memory: MB.
        minutes: of wall time.
    """

    stage: str
    partition: str
    gres: str
    memory: int
    minutes: int


@dataclass(frozen=True)
class Nodes:
    """Nodes of a partition that are alike.

    Attributes:
        partition: its name.
        default: whether jobs go there that name none.
        gres: what they have, as `gpu:h200:4`; empty for nothing.
        memory: MB of each.
        minutes: longest time of a job; None: no limit.
    """

    partition: str
    default: bool
    gres: str
    memory: int
    minutes: float | None


def examine(profile: Path, results: Path) -> list[Finding]:
    """Check the plugin, the commands, the profile against the cluster, and a small job.

    Args:
        profile: the profile's `config.yaml`.
        results: the results folder, which the nodes have to see.
    """
    findings = [plugin(), commands(), inside_a_job()]
    if findings[1].status != "ok":
        return findings
    try:
        settings = yaml.safe_load(profile.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as problem:
        detail = f"{profile} cannot be read ({one_line(problem)})"
        remedy = "run in the folder in which Snakemake is started"
        return [*findings, Finding("slurm profile", "fail", detail, remedy)]
    findings += [partitions(settings), queries(settings)]
    if any(finding.status == "fail" for finding in findings):
        return findings
    jobs, nodes = asked(settings), cluster_nodes()
    findings += [gpus(jobs, nodes), limits(jobs, nodes)]
    if any(finding.status == "fail" for finding in findings):
        return findings
    job = max(jobs, key=lambda job: (bool(job.gres), job.stage == "train"))
    return findings + slurm_job.examine(job.partition, job.gres, results)


def plugin() -> Finding:
    """Snakemake's executor for Slurm."""
    try:
        importlib.import_module("snakemake_executor_plugin_slurm")
    except Exception as problem:  # it imports many other packages
        return broken("slurm executor", problem)
    return Finding("slurm executor", "ok", "snakemake-executor-plugin-slurm imports")


def commands() -> Finding:
    """Slurm's client programs."""
    missing = [name for name in COMMANDS if shutil.which(name) is None]
    if missing:
        remedy = "run on a login node of the cluster, with Slurm's programs on the PATH"
        return Finding("slurm commands", "fail", f"missing: {', '.join(missing)}", remedy)
    return Finding("slurm commands", "ok", ", ".join(COMMANDS))


def inside_a_job() -> Finding:
    """Variables of a surrounding job, which bind the jobs that are submitted from it."""
    number = os.environ.get("SLURM_JOB_ID")
    if number is None:
        return Finding("slurm environment", "ok", "not inside a job")
    remedy = "start Snakemake on a login node, or first: unset ${!SLURM_@} ${!SBATCH_@} ${!SRUN_@}"
    detail = f"this is job {number}: its SLURM_* variables limit CPUs and memory of jobs from here"
    return Finding("slurm environment", "warn", detail, remedy)


def partitions(settings: dict[str, Any]) -> Finding:
    """The partitions that the profile names, or the cluster's default where it names none."""
    output, problem = run("sinfo", "--noheader", "--format=%P")
    if problem:
        remedy = "check that slurmctld answers: `scontrol ping`"
        return Finding("slurm partitions", "fail", problem, remedy)
    there = {name.rstrip("*") for name in output.split()}
    wanted = {job.partition for job in asked(settings)} - {""}
    listed = f"the cluster has {', '.join(sorted(there)) or 'none'}"
    remedy = f"name one as slurm_partition under default-resources in {PROFILE}"
    if wanted - there:
        detail = f"the profile names {', '.join(sorted(wanted - there))}, {listed}"
        return Finding("slurm partitions", "fail", detail, remedy)
    if not wanted and "*" not in output:
        detail = f"the profile names none and there is no default; {listed}"
        return Finding("slurm partitions", "fail", detail, remedy)
    return Finding("slurm partitions", "ok", ", ".join(sorted(wanted)) or "the cluster's default")


def queries(settings: dict[str, Any]) -> Finding:
    """How the states of jobs are queried: without accounting, sacct never has an answer."""
    _, problem = run("squeue", "--noheader", "--me")
    output, other = run("scontrol", "show", "config")
    if problem or other:
        return Finding("slurm queries", "fail", problem or other, "check that slurmctld answers")
    stored = next(
        (x.split("=")[1].strip() for x in output.splitlines() if _STORAGE in x), "unknown"
    )
    by = settings.get("slurm-status-command", "the plugin's own choice")
    on = stored not in ("accounting_storage/none", "(null)", "unknown")
    detail = f"accounting is {'on' if on else 'off'} ({stored}); the profile uses {by}"
    if on or by == "squeue":
        return Finding("slurm queries", "ok", detail)
    remedy = f"set slurm-status-command: squeue in {PROFILE}"
    return Finding("slurm queries", "fail", f"{detail}, which would never see a job end", remedy)


def asked(settings: dict[str, Any]) -> list[Asked]:
    """What the first attempt of every stage asks for, of a small subject."""
    found = []
    for stage, cost in COSTS.items():
        given = {"mem_mb": cost.memory, "runtime": cost.minutes}
        given = (settings.get("default-resources") or {}) | given
        given |= (settings.get("set-resources") or {}).get(stage) or {}
        partition, gres = (
            str(given.get(key) or "").strip("'\"") for key in ("slurm_partition", "gres")
        )
        found.append(
            Asked(stage, partition, gres, _number(given["mem_mb"]), _number(given["runtime"]))
        )
    return found


def _number(value: Any) -> int:
    """A plain number; of an expression such as `16000 * attempt`, the first number in it."""
    found = re.search(r"\d+", str(value))
    return int(found[0]) if found else 0


def cluster_nodes() -> list[Nodes]:
    """The nodes of every partition."""
    output, _ = run("sinfo", "--noheader", "--format=%P|%G|%m|%l")
    found = []
    for line in output.splitlines():
        partition, gres, memory, limit = line.strip().split("|")
        gres = "" if gres == "(null)" else gres
        found.append(
            Nodes(
                partition.rstrip("*"),
                partition.endswith("*"),
                gres,
                _number(memory),
                minutes_of(limit),
            )
        )
    return found


def minutes_of(limit: str) -> float | None:
    """Minutes of Slurm's `days-hours:minutes:seconds`; None for no limit."""
    parts = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", limit)
    if parts is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in parts.groups())
    return (days * 24 + hours) * 60 + minutes + seconds / 60


def suitable(job: Asked, nodes: list[Nodes]) -> list[Nodes]:
    """The nodes of a job's partition."""
    return [n for n in nodes if n.partition == job.partition or (n.default and not job.partition)]


def gpus(jobs: list[Asked], nodes: list[Nodes]) -> Finding:
    """Whether the partitions have what the profile asks for as `gres`."""
    wanted = [job for job in jobs if job.gres]
    if not wanted:
        return Finding("slurm GPUs", "ok", "the profile asks for none: training uses the CPU")
    for job in wanted:
        there = [n.gres for n in suitable(job, nodes)]
        if not any(_offers(gres, job.gres) for gres in there):
            has = ", ".join(sorted(set(filter(None, there)))) or "none"
            detail = (
                f"{job.stage} asks for {job.gres} in partition {job.partition or 'default'}, "
                f"whose nodes have {has}"
            )
            remedy = (
                f"change gres in {PROFILE}; without GPUs: remove set-resources, see docs/slurm.md"
            )
            return Finding("slurm GPUs", "fail", detail, remedy)
    return Finding("slurm GPUs", "ok", ", ".join(sorted({job.gres for job in wanted})))


def _offers(gres: str, wanted: str) -> bool:
    """Whether `gpu:h200:4(S:0-1),shard:8` has `gpu:1` or `gpu:h200:1`."""
    *name, count = wanted.split(":") if wanted[-1].isdigit() else [*wanted.split(":"), "1"]
    for part in re.sub(r"\([^)]*\)", "", gres).split(","):
        *has, number = part.split(":")
        if has[: len(name)] == name and number.isdigit() and int(number) >= int(count):
            return True
    return False


def limits(jobs: list[Asked], nodes: list[Nodes]) -> Finding:
    """Whether memory and time of every job fit into its partition."""
    for job in jobs:
        there = suitable(job, nodes)
        where = f"partition {job.partition or 'default'}"
        memory = max((n.memory for n in there), default=0)
        if job.memory > memory:
            detail = f"{job.stage} asks for {job.memory} MB, the nodes of {where} have {memory}"
            return _too_much(detail, "mem_mb", job.stage)
        longest = max((n.minutes or float("inf") for n in there), default=0.0)
        if job.minutes > longest:
            detail = f"{job.stage} asks for {job.minutes} minutes, {where} allows {longest:.0f}"
            return _too_much(detail, "runtime", job.stage)
    most = max(jobs, key=lambda job: job.memory)
    longest_job = max(jobs, key=lambda job: job.minutes)
    detail = (
        f"at most {most.memory} MB ({most.stage}) and {longest_job.minutes} minutes "
        f"({longest_job.stage}) for a small subject"
    )
    return Finding("slurm limits", "ok", detail)


def _too_much(detail: str, key: str, stage: str) -> Finding:
    status: Status = "fail"
    remedy = f"set {key} of {stage} under set-resources in {PROFILE}, or another partition"
    return Finding("slurm limits", status, detail, remedy)
