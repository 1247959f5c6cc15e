"""Contact sheets of the toy scene: four cameras, six timesteps."""

from pathlib import Path

import numpy as np
import pytest

from avatar.data.dataset import Dataset
from pipeline.media import write_video
from pipeline.report.sheets import BEHIND, COUNT, MOST_PIXELS, contact_sheets, overlays
from tests.rigs import toy_rig
from tests.scenes import write_scene


@pytest.mark.parametrize("cameras", [1, 4])
def test_frames_over_time_and_over_cameras(tmp_path: Path, cameras: int) -> None:
    with Dataset(write_scene(tmp_path / "dataset.h5", toy_rig(), cameras)) as dataset:
        sheets = contact_sheets(tmp_path, dataset)
        middle = cameras // 2
        assert [p.caption for p in sheets["frames"]] == [
            *(f"a {k}, {'val' if cameras == 4 else 'train'}" for k in range(4)),
            "b 0, test", "b 1, test",
        ]  # fmt: skip
        first = dataset.row(0, middle)
        assert np.array_equal(sheets["frames"][0].image, dataset.image(first))
        seen = [p.caption.split(",")[0] for p in sheets["cameras"]]
        assert seen == ([] if cameras == 1 else [f"camera 0{k}" for k in range(4)])
        cutout, alpha = sheets["matte"][0].image, dataset.alpha(first)
        assert np.array_equal(cutout[alpha == 255], dataset.image(first)[alpha == 255])
        assert np.array_equal(np.unique(cutout[alpha == 0], axis=0), [BEHIND])
    assert sheets["track"] == []


def test_an_overlay_gives_frames_from_its_start_to_its_end(tmp_path: Path) -> None:
    frames = [np.full((400, 600, 3), 10 * k, np.uint8) for k in range(21)]
    write_video(tmp_path / "overlay.mp4", frames, 10)
    found = overlays(tmp_path / "overlay.mp4")
    assert len(found) == COUNT
    assert [found[0].caption, found[-1].caption] == ["0.0 s", "2.0 s"]
    assert found[0].image.shape[1] == MOST_PIXELS
    grey = [picture.image.mean() for picture in found]
    assert grey == sorted(grey)
    assert [grey[0], grey[-1]] == pytest.approx([0, 200], abs=4)
