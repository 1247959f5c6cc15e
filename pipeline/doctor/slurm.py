"""Whether `snakemake --profile slurm` can submit jobs from this machine."""

import importlib
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from avatar.base.cli import one_line
from pipeline.doctor.finding import Finding
from pipeline.doctor.machine import broken

COMMANDS = ("sbatch", "squeue", "scancel", "sinfo", "scontrol")
_TIMEOUT = 30  # seconds for a scheduler's answer


def examine(profile: Path) -> list[Finding]:
    """Check the plugin, the commands and, where they exist, the scheduler's configuration.

    Args:
        profile: the profile's `config.yaml`.
    """
    findings = [plugin(), commands()]
    if findings[-1].status != "ok":
        return findings
    try:
        settings = yaml.safe_load(profile.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as problem:
        detail = f"{profile} cannot be read ({one_line(problem)})"
        return [*findings, Finding("slurm profile", "fail", detail, "git checkout profiles")]
    return [*findings, partitions(settings), accounting(settings)]


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


def partitions(settings: dict[str, Any]) -> Finding:
    """The partitions that the profile names, or the cluster's default where it names none."""
    output, problem = _run("sinfo", "--noheader", "--format=%P")
    if problem:
        remedy = "check that slurmctld answers: `scontrol ping`"
        return Finding("slurm partitions", "fail", problem, remedy)
    there = {name.rstrip("*") for name in output.split()}
    wanted = named_partitions(settings)
    listed = f"the cluster has {', '.join(sorted(there)) or 'none'}"
    remedy = "name one as slurm_partition under default-resources in profiles/slurm/config.yaml"
    if wanted - there:
        detail = f"the profile names {', '.join(sorted(wanted - there))}, {listed}"
        return Finding("slurm partitions", "fail", detail, remedy)
    if not wanted and "*" not in output:
        detail = f"the profile names none and there is no default; {listed}"
        return Finding("slurm partitions", "fail", detail, remedy)
    return Finding("slurm partitions", "ok", ", ".join(sorted(wanted)) or "the cluster's default")


def named_partitions(settings: dict[str, Any]) -> set[str]:
    """Every `slurm_partition` under `default-resources` and `set-resources`."""
    groups = [settings.get("default-resources", {}), *settings.get("set-resources", {}).values()]
    return {str(g["slurm_partition"]).strip("'\"") for g in groups if "slurm_partition" in g}


def accounting(settings: dict[str, Any]) -> Finding:
    """How the states of jobs are queried: without accounting, sacct never has an answer."""
    output, problem = _run("scontrol", "show", "config")
    if problem:
        return Finding("slurm accounting", "fail", problem, "check that slurmctld answers")
    stored = next(
        (x.split("=")[1].strip() for x in output.splitlines() if _STORAGE in x), "unknown"
    )
    by = settings.get("slurm-status-command", "the plugin's own choice")
    on = stored not in ("accounting_storage/none", "(null)", "unknown")
    detail = f"{'on' if on else 'off'} ({stored}); the profile uses {by}"
    if on or by == "squeue":
        return Finding("slurm accounting", "ok", detail)
    remedy = "set slurm-status-command: squeue in profiles/slurm/config.yaml"
    return Finding("slurm accounting", "fail", f"{detail}, which would never see a job end", remedy)


_STORAGE = "AccountingStorageType"


def _run(*command: str) -> tuple[str, str]:
    """A command's output, and the reason where it fails."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_TIMEOUT
        )
    except subprocess.TimeoutExpired:
        return "", f"{command[0]} does not answer within {_TIMEOUT} s"
    if done.returncode:
        reason = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        return "", f"{command[0]} failed: {reason}"
    return done.stdout, ""
