"""What every run needs: Python, packages, libraries, disk, caches, cores, memory, the rig.

Heavy packages are imported by the check that needs them, so that a broken one is a finding.
"""

import ctypes
import importlib
import os
import shutil
import sys
from importlib import metadata
from pathlib import Path

from avatar.base.cli import one_line
from avatar.base.errors import UserError
from pipeline.doctor.finding import Finding, Status

LIBRARIES = {"libGL.so.1": "libgl1", "libglib-2.0.so.0": "libglib2.0-0"}  # -> Debian's package
# Always shown; the lock's others only where they are not as locked.
PACKAGES = (
    "torch", "numpy", "numba", "mediapipe", "opencv-contrib-python", "av", "h5py", "anny",
    "gsplat", "snakemake", "snakemake-executor-plugin-slurm",
)  # fmt: skip
_REINSTALL = "make clean setup"
_GIB = 2**30
LEAST_DISK, GOOD_DISK = 1 * _GIB, 5 * _GIB  # a minute of one camera takes 0.3 GB
GOOD_MEMORY = 2 * _GIB  # the demo takes 1.4 GB


def examine(root: Path, results: Path) -> list[Finding]:
    """Run all checks of this module.

    Args:
        root: the repository, for `requirements.lock`.
        results: the results folder; need not exist.
    """
    return [
        python(),
        *packages(root / "requirements.lock"),
        libraries(),
        mediapipe(),
        numba_cache(),
        disk(results),
        processors(),
        memory(),
        rigs(results),
    ]


def python() -> Finding:
    """The interpreter's version: 3.11 is tested."""
    found = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info[:2] == (3, 11):
        return Finding("python", "ok", found)
    status: Status = "warn" if sys.version_info[:2] == (3, 12) else "fail"
    return Finding("python", status, f"{found}, tested with 3.11", "make setup PYTHON=python3.11")


def packages(lock: Path) -> list[Finding]:
    """Installed versions against the lock's; a local part such as `+cpu` does not count."""
    try:
        lines = lock.read_text(encoding="utf-8").splitlines()
    except OSError:
        return [Finding("packages", "warn", f"{lock} cannot be read: versions are not compared")]
    pinned = dict(line.split("==") for line in lines if "==" in line and line[0] != "#")
    findings = []
    for name in dict.fromkeys([*PACKAGES, *pinned]):
        finding = _package(name, pinned.get(name, ""))
        if name in PACKAGES or finding.status != "ok":
            findings.append(finding)
    return findings


def _package(name: str, expected: str) -> Finding:
    try:
        found = metadata.version(name)
    except metadata.PackageNotFoundError:
        status: Status = "fail" if name in PACKAGES else "warn"
        return Finding(name, status, f"not installed, the lock has {expected}", _REINSTALL)
    if found.split("+")[0] != expected:
        return Finding(name, "warn", f"{found}, the lock has {expected or 'none'}", _REINSTALL)
    return Finding(name, "ok", found)


def libraries() -> Finding:
    """Shared libraries that cv2 links and no wheel carries."""
    missing = [package for name, package in LIBRARIES.items() if not _loads(name)]
    if missing:
        remedy = f"apt-get install -y {' '.join(missing)}"
        return Finding("libraries", "fail", f"missing: {', '.join(missing)}", remedy)
    return Finding("libraries", "ok", ", ".join(LIBRARIES))


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def mediapipe() -> Finding:
    """MediaPipe, which landmarks and matting need, must import; this takes seconds."""
    try:
        importlib.import_module("mediapipe")
    except Exception as problem:  # it imports many other packages
        return broken("mediapipe import", problem)
    return Finding("mediapipe import", "ok", "landmarks and matting")


def broken(what: str, problem: Exception) -> Finding:
    """The finding for a package that is installed and does not import."""
    detail = f"does not import ({type(problem).__name__}: {one_line(problem)})"
    return Finding(what, "fail", detail, _REINSTALL)


def numba_cache() -> Finding:
    """The folder where Numba keeps the compiled kernels of this package."""
    wanted = os.environ.get("NUMBA_CACHE_DIR")
    remedy = "set NUMBA_CACHE_DIR to a folder that can be written"
    try:
        from numba import njit

        chosen = Path(str(njit(cache=True)(_nothing).stats.cache_path))
    except RuntimeError:
        return Finding("numba cache", "fail", "Numba finds no folder to write to", remedy)
    except (ImportError, OSError) as problem:
        return broken("numba cache", problem)
    if wanted and not chosen.is_relative_to(Path(wanted).absolute()):
        detail = f"NUMBA_CACHE_DIR={wanted} cannot be written, {chosen} is used instead"
        return Finding("numba cache", "warn", detail, remedy)
    return Finding("numba cache", "ok", wanted or "beside the code")


def _nothing() -> int:
    return 0


def disk(results: Path) -> Finding:
    """Free space where the results go."""
    folder = next(f for f in (results.absolute(), *results.absolute().parents) if f.exists())
    free = shutil.disk_usage(folder).free
    detail = f"{free / _GIB:.1f} GiB free in {folder}"
    if free >= GOOD_DISK:
        return Finding("disk", "ok", detail)
    return Finding("disk", "warn" if free >= LEAST_DISK else "fail", detail, "make room")


def processors() -> Finding:
    """Cores that this process may use."""
    return Finding("cores", "ok", f"{len(os.sched_getaffinity(0))} of {os.cpu_count()}")


def memory() -> Finding:
    """Total and available memory, from `/proc/meminfo`."""
    with open("/proc/meminfo", encoding="ascii") as file:
        kib = {line.split(":")[0]: int(line.split()[1]) for line in file}
    free = kib["MemAvailable"] * 1024
    detail = f"{free / _GIB:.1f} of {kib['MemTotal'] * 1024 / _GIB:.1f} GiB free"
    if free >= GOOD_MEMORY:
        return Finding("memory", "ok", detail)
    return Finding("memory", "warn", detail, "end other programs: a subject takes up to 2 GiB")


def rigs(results: Path) -> Finding:
    """The baked rigs; each is loaded."""
    try:
        from avatar.rig import HeadRig

        found = [HeadRig.load(path) for path in sorted((results / "rigs").glob("*.npz"))]
    except (ImportError, OSError) as problem:
        return broken("rig", problem)
    except UserError as problem:
        return Finding("rig", "fail", one_line(problem), "delete the file: the next run bakes it")
    if not found:
        return Finding("rig", "ok", "none baked yet: the first run does it")
    return Finding("rig", "ok", ", ".join(f"{r.name} ({r.num_verts} vertices)" for r in found))
