import csv
import io
import json

import pytest
import torch

from avatar.train.log import EVERY, TrainLog


def _note(log: TrainLog, values: dict[str, float], images: int) -> None:
    log.note({n: torch.tensor(v, dtype=torch.float64) for n, v in values.items()}, images)


def test_a_row_averages_over_images() -> None:
    """Three images with an error of 0.01 and one with 0.05: the mean is 0.02, 16.99 dB."""
    log = TrainLog()
    _note(log, {"loss": 1.0, "l1": 0.5, "error": 0.01}, images=3)
    _note(log, {"loss": 3.0, "l1": 0.1, "error": 0.05}, images=1)
    assert not log.write(2, 4, gaussians=7, last=False)  # not enough images for a row
    assert log.write(2, 4, gaussians=7, last=True)
    (row,) = log.rows
    assert (row.step, row.images, row.gaussians) == (2, 4, 7)
    assert row.loss == pytest.approx(1.5)
    assert row.terms == pytest.approx({"l1": 0.4})
    assert row.psnr == pytest.approx(16.9897, abs=1e-4)


def test_rows_come_every_few_images_and_start_anew() -> None:
    log = TrainLog()
    for images in range(4, 2 * EVERY + 1, 4):
        _note(log, {"loss": float(images), "error": 0.1}, images=4)
        log.write(images // 4, images, 1, last=False)
    assert [row.images for row in log.rows] == [EVERY, 2 * EVERY]
    assert log.rows[1].loss == pytest.approx((EVERY + 4 + 2 * EVERY) / 2)
    assert not log.write(100, 2 * EVERY, 1, last=True)  # nothing since the last row


def test_a_log_survives_json_bit_for_bit() -> None:
    log = TrainLog()
    _note(log, {"loss": 0.1 + 0.2, "error": 1 / 3}, images=EVERY)
    log.write(1, EVERY, 5, last=False)
    _note(log, {"loss": 1 / 7, "error": 0.5}, images=1)
    assert TrainLog.from_json(json.loads(json.dumps(log.to_json()))) == log


def test_the_table_has_a_column_for_every_term() -> None:
    log = TrainLog()
    _note(log, {"loss": 2.0, "l1": 0.25, "visible": 6.0, "error": 0.1}, images=EVERY)
    log.write(50, EVERY, 9, last=True)
    header, row = csv.reader(io.StringIO(log.table()))
    assert header == ["step", "images", "loss", "l1", "visible", "psnr", "gaussians"]
    assert row == ["50", "200", "2", "0.25", "6", "10", "9"]


def test_rows_can_be_appended_to_the_table() -> None:
    log = TrainLog()
    for row in (1, 2, 3):
        _note(log, {"loss": 1.0 / row, "error": 0.1}, images=EVERY)
        log.write(row, row * EVERY, 9, last=False)
    assert log.table(3) == ""
    assert log.table(2).count("\n") == 1
    two = TrainLog(log.rows[:2])
    assert two.table() + log.table(2) == log.table()


def test_the_latest_figures_are_there_before_the_first_row() -> None:
    log = TrainLog()
    assert log.latest(0) is None
    _note(log, {"loss": 1.0, "error": 0.01}, images=3)
    _note(log, {"loss": 3.0, "error": 0.05}, images=1)
    assert log.latest(4) == pytest.approx((1.5, 16.9897), abs=1e-4)
    log.write(2, 4, gaussians=7, last=True)
    _note(log, {"loss": 9.0, "error": 0.5}, images=4)
    assert log.latest(8) == pytest.approx((1.5, 16.9897), abs=1e-4)
