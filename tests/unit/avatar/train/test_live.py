"""What is seen of a run while it trains, and that the run stays what it is."""

import csv
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from avatar.base.errors import UserError
from avatar.data.dataset import Dataset
from avatar.data.frames import composite
from avatar.data.layout import VAL
from avatar.rig import HeadRig
from avatar.train.checkpoint import Checkpoints
from avatar.train.live import Live, progress_note, validation_row
from avatar.train.trainer import Trainer
from tests.scenes import SIZE
from tests.unit.avatar.train.runs import EVERYTHING, KEY, advance, assert_same

EVERY = 12  # images of a row


@pytest.fixture
def dataset(scene: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dataset]:
    monkeypatch.setattr("avatar.train.log.EVERY", EVERY)
    with Dataset(scene) as dataset:
        yield dataset


def train(trainer: Trainer, live: Live, images: int) -> None:
    for _ in trainer.steps():
        live.step()
        if trainer.images >= images:
            return


def rows(folder: Path) -> list[list[str]]:
    with open(folder / "train_log.csv", newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_the_log_grows_with_the_run_and_a_resume_repeats_no_row(
    dataset: Dataset, rig: HeadRig, tmp_path: Path
) -> None:
    first = Trainer(dataset, dataset.params, rig, EVERYTHING)
    live = Live(first, rig, dataset, tmp_path, None)
    train(first, live, 40)
    checkpoints = Checkpoints(tmp_path, KEY)
    checkpoints.save(first.snapshot())
    assert [row[1] for row in rows(tmp_path)] == ["images", "12", "24", "36"]
    train(first, live, 64)
    assert len(rows(tmp_path)) == 1 + 64 // EVERY

    second = Trainer(dataset, dataset.params, rig, EVERYTHING)
    snapshot = checkpoints.load()
    assert snapshot is not None
    second.restore(snapshot)
    live = Live(second, rig, dataset, tmp_path, None)
    assert len(rows(tmp_path)) == 1 + 3, "what came after the checkpoint is not done yet"
    train(second, live, EVERYTHING.images)
    assert (tmp_path / "train_log.csv").read_text() == second.log.table()
    assert [int(row[1]) for row in rows(tmp_path)[1:]] == list(range(EVERY, 97, EVERY))
    undisturbed = Trainer(dataset, dataset.params, rig, EVERYTHING)
    advance(undisturbed, EVERYTHING.images)
    assert_same(undisturbed, second)


def test_a_run_from_the_start_removes_the_log_of_a_former_one(
    dataset: Dataset, rig: HeadRig, tmp_path: Path
) -> None:
    (tmp_path / "train_log.csv").write_text("former")
    trainer = Trainer(dataset, dataset.params, rig, EVERYTHING)
    live = Live(trainer, rig, dataset, tmp_path, None)
    assert not (tmp_path / "train_log.csv").exists()
    assert progress_note(trainer) == ""
    train(trainer, live, EVERY)
    assert rows(tmp_path)[1][1] == str(EVERY)
    last = trainer.log.rows[-1]
    assert progress_note(trainer) == (
        f"loss {last.loss:.4f}, {last.psnr:.1f} dB, {last.gaussians} Gaussians"
    )


def test_the_picture_is_a_held_out_frame_beside_its_render(
    dataset: Dataset, rig: HeadRig, tmp_path: Path
) -> None:
    trainer = Trainer(dataset, dataset.params, rig, EVERYTHING)
    live = Live(trainer, rig, dataset, tmp_path, None)
    train(trainer, live, EVERY)
    picture = np.asarray(Image.open(tmp_path / "validation.png")).astype(float) / 255
    assert picture.shape == (SIZE, 2 * SIZE, 3)
    row = validation_row(dataset)
    assert dataset.split[row] == VAL
    truth = composite(dataset.image(row), dataset.alpha(row), np.ones(3, np.float32))
    assert np.abs(picture[:, :SIZE] - truth).max() < 0.003
    assert 0.002 < np.square(picture[:, SIZE:] - truth).mean() < 0.1, "a head, not trained yet"


def test_a_folder_that_cannot_be_written_does_not_end_the_run(
    dataset: Dataset, rig: HeadRig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trainer = Trainer(dataset, dataset.params, rig, EVERYTHING)
    live = Live(trainer, rig, dataset, tmp_path / "run", None)
    (tmp_path / "run").write_text("in the way")
    train(trainer, live, 3 * EVERY)
    assert caplog.text.count("training goes on") == 1


def test_tensorboard_is_asked_for_and_missing(
    dataset: Dataset, rig: HeadRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    trainer = Trainer(dataset, dataset.params, rig, EVERYTHING)
    with pytest.raises(UserError, match=r"train\.tensorboard is true.*pip install"):
        Live(trainer, rig, dataset, tmp_path, tmp_path / "events")


def test_tensorboard_gets_rows_and_pictures(dataset: Dataset, rig: HeadRig, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trainer = Trainer(dataset, dataset.params, rig, EVERYTHING)
    live = Live(trainer, rig, dataset, tmp_path, tmp_path / "events")
    train(trainer, live, 3 * EVERY)
    live.close()
    events = EventAccumulator(str(tmp_path / "events"))
    events.Reload()
    assert [event.step for event in events.Scalars("loss")] == [EVERY, 2 * EVERY, 3 * EVERY]
    expected = [row.psnr for row in trainer.log.rows]
    assert [event.value for event in events.Scalars("psnr")] == pytest.approx(expected)
    assert len(events.Images("validation")) == 1
