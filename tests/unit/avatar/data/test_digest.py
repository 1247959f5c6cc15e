from pathlib import Path

from avatar.data.dataset import Dataset
from avatar.data.digest import dataset_sha256
from tests.rigs import toy_rig
from tests.scenes import write_scene


def test_equal_data_have_one_hash_and_other_data_another(tmp_path: Path) -> None:
    rig = toy_rig()
    found = []
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        with Dataset(write_scene(tmp_path / f"{name}.h5", rig, seed=seed)) as dataset:
            found.append(dataset_sha256(dataset))
    assert found[0] == found[1]
    assert found[0] != found[2]
