"""A real Slurm on this machine: a controller and three nodes, without systemd, as root."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal

Tracker = Literal["linuxproc", "cgroup"]
PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "squeue", "scontrol", "srun")
NODES = ("n1", "n2", "n3")
HOME = Path("/etc/slurm")  # the job's own srun looks for its configuration here and nowhere else

_CONFIG = """
ClusterName=toy
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort=16817
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={home}/run/munge.socket,cred_expire=10
CredType=cred/munge
StateSaveLocation={home}/state
SlurmdSpoolDir={home}/spool/%n
SlurmctldPidFile={home}/run/slurmctld.pid
SlurmdPidFile={home}/run/slurmd-%n.pid
SlurmctldLogFile={home}/log/slurmctld.log
SlurmdLogFile={home}/log/slurmd-%n.log
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmdParameters=config_overrides
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=2,sched_interval=2,sched_min_interval=0,batch_sched_delay=0
MinJobAge=7200
KillWait=3
SlurmdTimeout=10
SlurmctldTimeout=10
InactiveLimit=0
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
DefMemPerCPU=100
AccountingStorageType=accounting_storage/none
PartitionName=cpu Nodes=n[1-3] Default=YES MaxTime=1440 DefaultTime=5 PriorityTier=1
PartitionName=urgent Nodes=n[1-3] MaxTime=60 DefaultTime=5 PriorityTier=10 PreemptMode=OFF
"""
# Which processes a signal reaches, and who ends a job that takes too much memory.
_TRACKERS: dict[Tracker, str] = {
    "linuxproc": """
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
""",
    "cgroup": """
ProctrackType=proctrack/cgroup
TaskPlugin=task/cgroup
JobAcctGatherType=jobacct_gather/linux
""",
}
_CGROUP = """
CgroupPlugin=cgroup/v1
CgroupMountpoint=/sys/fs/cgroup
ConstrainRAMSpace=yes
ConstrainSwapSpace=no
"""


def why_not(tracker: Tracker) -> str:
    """Why no cluster can be started here; empty if it can."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"Slurm is not installed here ({', '.join(missing)} missing)"
    if os.geteuid() != 0:
        return "Slurm's daemons are started as root"
    if tracker == "cgroup" and not os.access("/sys/fs/cgroup/memory/tasks", os.R_OK):
        return "there are no control groups of version 1 here"
    others = [path for path in (HOME / "slurm.conf", HOME / "gres.conf") if path.exists()]
    if others and not all(path.is_symlink() for path in others):
        return f"this machine has a Slurm of its own ({others[0]})"
    return ""


class ToySlurm:
    """A running cluster.

    Attributes:
        home: everything of it, except for links in /etc/slurm.
    """

    def __init__(self, home: Path, tracker: Tracker, gpus: bool = True) -> None:
        """Start it and wait until all nodes are idle.

        Args:
            gpus: whether every node has a device that Slurm calls a GPU.
        """
        if (HOME / "slurm.conf").is_symlink():  # of tests that were killed
            _end_daemons((HOME / "slurm.conf").readlink().parents[1])
        self.home = home
        self._first = 1
        for name in ("etc", "run", "log", "state", *(f"spool/{node}" for node in NODES)):
            (home / name).mkdir(parents=True)
        self._write(tracker, gpus)
        self._start_munge()
        try:
            _run("slurmctld")
            for node in NODES:
                self.start_node(node)
            wait_for(lambda: self.states() == dict.fromkeys(NODES, "idle"), 60, "idle nodes")
        except BaseException:
            self.stop()
            raise

    def _write(self, tracker: Tracker, gpus: bool) -> None:
        config = _CONFIG.format(home=self.home, host=socket.gethostname().split(".")[0])
        config += _TRACKERS[tracker] + ("GresTypes=gpu\n" if gpus else "")
        devices = ""
        for number, node in enumerate(NODES, 1):
            gres = "Gres=gpu:h200:1 " if gpus else ""
            config += (
                f"NodeName={node} NodeHostname={socket.gethostname().split('.')[0]} "
                f"NodeAddr=127.0.0.1 Port={17000 + number} CPUs=8 RealMemory=16000 {gres}\n"
            )
            if gpus:
                device = self.home / "dev" / node / "nvidia0"
                device.parent.mkdir(parents=True)
                os.mknod(device, 0o20666, os.makedev(1, 3))
                devices += f"NodeName={node} Name=gpu Type=h200 File={device}\n"
        texts = {"slurm.conf": config, "gres.conf": devices, "cgroup.conf": _CGROUP}
        HOME.mkdir(exist_ok=True)
        for name, text in texts.items():
            (self.home / "etc" / name).write_text(text)
            (HOME / name).unlink(missing_ok=True)
            (HOME / name).symlink_to(self.home / "etc" / name)

    def _start_munge(self) -> None:
        key = self.home / "etc/munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        run = self.home / "run"
        _run(
            "munged", "--force", f"--key-file={key}", f"--socket={run}/munge.socket",
            f"--pid-file={run}/munged.pid", f"--log-file={self.home}/log/munged.log",
            f"--seed-file={run}/munge.seed",
        )  # fmt: skip

    def start_node(self, node: str) -> None:
        """Start the daemon of a node."""
        _run("slurmd", "-N", node)

    def kill_node(self, node: str) -> None:
        """Kill the daemons of a node, and what runs there, as a power failure does."""
        _end(self.home, f"slurmd-{node}", signal.SIGKILL)
        for job in self.jobs():
            if job["nodes"] == node and job["state"] == "RUNNING":
                for process in [*_step_daemons(job["job_id"]), *self.processes(job["job_id"])]:
                    _kill(process, signal.SIGKILL)

    def reset(self) -> None:
        """Cancel every job, have all nodes ready, and forget the jobs so far."""
        self.cancel_all()
        for node in NODES:
            if not (self.home / f"run/slurmd-{node}.pid").exists():
                self.start_node(node)
        wait_for(lambda: self.states() == dict.fromkeys(NODES, "idle"), 60, "idle nodes")
        self._first = 1 + max((int(job["job_id"]) for job in self._all_jobs()), default=0)

    def stop(self) -> None:
        """Cancel every job, end all daemons and remove the links."""
        with suppress(Exception):  # a controller that does not answer
            self.cancel_all()
        _end_daemons(self.home)
        for name in ("slurm.conf", "gres.conf", "cgroup.conf"):
            (HOME / name).unlink(missing_ok=True)

    def running(self, rule: str, limit: float = 300.0) -> dict[str, str]:
        """Wait until a job of a rule runs; returns it."""

        def found() -> list[dict[str, str]]:
            return [job for job in self.of_rule(rule) if job["state"] == "RUNNING"]

        wait_for(found, limit, f"a running job of {rule}")
        return found()[0]

    def cancel_all(self) -> None:
        """Cancel every job and wait until none runs."""
        self.command("scancel", "--user=root")
        wait_for(lambda: not _run("squeue", "--noheader").strip(), 30, "the end of all jobs")

    def command(self, *words: str) -> str:
        """The output of one of Slurm's programs, which has to succeed."""
        return _run(*words)

    def states(self) -> dict[str, str]:
        """Node to its state."""
        lines = _run("sinfo", "--Node", "--noheader", "--format=%N %t").split("\n")
        return dict(line.split() for line in lines if line.strip())

    def jobs(self) -> list[dict[str, str]]:
        """The jobs since the last reset, in the order of their submission."""
        found = [job for job in self._all_jobs() if int(job["job_id"]) >= self._first]
        return sorted(found, key=lambda job: int(job["job_id"]))

    def _all_jobs(self) -> list[dict[str, str]]:
        return [
            {
                "job_id": str(job["job_id"]),
                "state": job["job_state"],
                "nodes": job["nodes"] or "",
                "rule": job["comment"].removeprefix("rule_").split("_wildcards_")[0],
            }
            for job in json.loads(_run("squeue", "--states=all", "--json"))["jobs"]
        ]

    def of_rule(self, rule: str) -> list[dict[str, str]]:
        """The jobs of a rule, in the order of their submission."""
        return [job for job in self.jobs() if job["rule"] == rule]

    def has(self, rule: str, number: int) -> bool:
        """Whether so many jobs of a rule were submitted."""
        return len(self.of_rule(rule)) == number

    def processes(self, job_id: str, module: str = "") -> list[int]:
        """Numbers of a job's processes, or only of those that run a Python module.

        Its processes are those that have its number in their environment.
        """
        number = f"SLURM_JOB_ID={job_id}".encode()
        found = _processes("environ", lambda entries: number in entries)
        if module:
            running = _processes("cmdline", lambda words: module.encode() in words)
            found = [process for process in found if process in running]
        return found


def wait_for(what: Callable[[], object], seconds: float, name: str) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:.0f} s for {name}")
        time.sleep(0.5)


def _end_daemons(home: Path) -> None:
    for name in (*(f"slurmd-{node}" for node in NODES), "slurmctld", "munged"):
        _end(home, name, signal.SIGTERM)


def _end(home: Path, daemon: str, signum: int) -> None:
    path = home / "run" / f"{daemon}.pid"
    if path.exists():
        process = int(path.read_text())
        _kill(process, signum)
        wait_for(lambda: not Path(f"/proc/{process}").exists(), 20, f"the end of {daemon}")
        path.unlink(missing_ok=True)


def _step_daemons(job_id: str) -> list[int]:
    """Slurm's own processes of a job."""
    title = f"slurmstepd: [{job_id}.".encode()
    return _processes("cmdline", lambda words: words[0].startswith(title))


def _processes(file: str, holds: Callable[[list[bytes]], bool]) -> list[int]:
    """Numbers of the processes of which something holds for the words of a file in /proc."""
    found = []
    for path in Path("/proc").glob(f"[0-9]*/{file}"):
        with suppress(OSError):
            if holds(path.read_bytes().split(b"\0")):
                found.append(int(path.parent.name))
    return found


def _kill(process: int, signum: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, signum)


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
    return done.stdout
