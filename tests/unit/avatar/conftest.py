"""The toy rig and its scene, made once; tests must not change them."""

from pathlib import Path

import pytest

from avatar.rig import HeadRig
from tests.rigs import toy_rig
from tests.scenes import write_scene


@pytest.fixture(scope="session")
def rig() -> HeadRig:
    return toy_rig()


@pytest.fixture(scope="session")
def scene(rig: HeadRig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of four cameras, the third held out, and six timesteps, two of them held out."""
    return write_scene(tmp_path_factory.mktemp("scene") / "dataset.h5", rig)
