from pathlib import Path

import numpy as np

from avatar.data.reader import FrameStore
from pipeline.track.outline import torso
from pipeline.track.outline.silhouette import Rim
from pipeline.track.solve import joint_fit
from pipeline.track.solve.held_out import HeldOut
from pipeline.track.solve.joint_fit import Fit
from tests.unit.pipeline.track.capture import toy, write_store


def test_a_torso_that_is_hardly_seen_turns_with_the_head(tmp_path: Path) -> None:
    """One sighting short of what is asked for, and that many."""
    count = 4
    scene = toy(timesteps=count, cams=1)
    write_store(tmp_path / "frames.h5", [np.zeros((8, 8, 3), np.uint8)] * count, 1, count)
    offset, nod = np.zeros((scene.rig.num_verts, 3)), np.zeros((count, 3))
    track = Fit(
        scene.rig, scene.problem, scene.truth, np.ones(count, bool), HeldOut.nothing(count), offset,
        nod,
    )  # fmt: skip
    low = int(np.flatnonzero(scene.rig.masks["neck"].numpy())[0])
    enough = torso.ENOUGH * count
    with FrameStore(tmp_path / "frames.h5") as store:
        heading = torso.Heading.of(track.whole(store).rotation, np.zeros(count, int))
        for sightings in (enough - 1, enough):
            rim = Rim(
                np.full(sightings, low), np.tile([[1.0, 0, 0]], (sightings, 1)),
                np.zeros(sightings), np.arange(sightings) % count,
            )  # fmt: skip
            turned, share = joint_fit._with_neck(track, store, heading, rim, count)
            assert (share > 0) == turned.nod.any() == (sightings == enough)
