from pathlib import Path

import pytest

from avatar.base import files
from avatar.base.errors import UserError
from avatar.data.dataset import Dataset
from pipeline.report.record import read_record
from tests.rigs import toy_rig
from tests.scenes import write_scene


def test_what_a_subject_lacks_is_named_with_the_stage_that_makes_it(tmp_path: Path) -> None:
    with Dataset(write_scene(tmp_path / "dataset.h5", toy_rig(), cameras=1)) as dataset:
        with pytest.raises(UserError, match=r"eval/summary.json does not exist: evaluate"):
            read_record(tmp_path, dataset)
        files.write_json(tmp_path / "eval/summary.json", {"subject": "anna"})
        with pytest.raises(UserError, match=r"eval/metrics.csv does not exist: evaluate"):
            read_record(tmp_path, dataset)
