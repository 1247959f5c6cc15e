"""What a stage is made from: what changes a hash, and what does not."""

import os
from pathlib import Path
from typing import Any

import pytest

from avatar.base import made
from pipeline.graph import plan
from pipeline.graph.configuration import check
from pipeline.graph.fingerprint import Contents

VIDEO = Contents((".",), "0123")
RIGGED = Contents(("cameras.json", "talk/cam_0.mp4", "talk/cam_1.mp4"), "0123")
PICTURES = Contents(("talk/cam_0/000000.png", "talk/cam_0/000001.png"), "0123")
VERSIONS = dict.fromkeys(made.STAGES, 1)


def _redone(
    config: dict[str, Any],
    capture: Contents = VIDEO,
    before: Contents = VIDEO,
    versions: dict[str, int] | None = None,
    extra: dict[str, Any] | None = None,
) -> list[str]:
    """The stages that a change redoes."""
    first = plan.made_from(check({}, "x"), VERSIONS, before, {})
    then = plan.made_from(check(config, "x"), versions or VERSIONS, capture, extra or {})
    return [stage for stage in made.STAGES if first[stage] != then[stage]]


def test_nothing_changed_nothing_redone() -> None:
    assert _redone({}) == []
    assert _redone({"ingest": {"size": 802}, "train": {"preset": "auto"}}) == []


@pytest.mark.parametrize(
    ("config", "first"),
    [
        ({"ingest": {"fps": 10.0}}, "ingest"),
        ({"matte": {"backend": "plate"}}, "matte"),
        ({"track": {"priors": {"expr": 0.3}}}, "track"),
        ({"pack": {"split": {"fraction": 0.2}}}, "pack"),
        ({"refine": {"enabled": False}}, "refine"),
        ({"train": {"seed": 3}}, "train"),
        ({"train": {"overrides": {"images": 100}}}, "train"),
        ({"evaluate": {"background": 0.0}}, "evaluate"),
    ],
)
def test_a_setting_redoes_its_stage_and_those_after_it(config: dict, first: str) -> None:
    assert _redone(config) == list(made.STAGES[made.STAGES.index(first) :])


@pytest.mark.fault("4.1")
@pytest.mark.parametrize(
    "config",
    [
        {"track": {"overlay": 320}},
        {"track": {"gate": {"jitter": [7.0, 21.0]}}},
        {"train": {"checkpoint_minutes": 1.0}},
        {"train": {"overrides": {"cache_mib": 100}}},
        {"pack": {"gate": "warn"}},
        {"ingest": {"size": 400}},
        {"ingest": {"image_fps": 10.0}},
        {"ingest": {"align": "number"}},
    ],
)
def test_a_setting_that_changes_no_output_redoes_nothing(config: dict) -> None:
    assert _redone(config) == []


@pytest.mark.fault("4.1")
def test_settings_of_ingest_count_where_they_apply() -> None:
    for setting, where in (("size", [RIGGED]), ("size_mono", [VIDEO, PICTURES]),
                           ("image_fps", [PICTURES]), ("align", [RIGGED, PICTURES])):  # fmt: skip
        value = {"size": 400, "size_mono": 400, "image_fps": 10.0, "align": "number"}[setting]
        for capture in (VIDEO, RIGGED, PICTURES):
            redone = _redone({"ingest": {setting: value}}, capture, capture)
            assert bool(redone) == (capture in where or (setting, capture) == ("size", PICTURES))


@pytest.mark.fault("H1")
def test_the_capture_the_code_and_the_rig_count() -> None:
    assert _redone({}, Contents((".",), "4567")) == list(made.STAGES)
    assert _redone({}, versions=VERSIONS | {"pack": 2}) == list(made.STAGES[3:])
    assert _redone({}, versions=VERSIONS | {"report": 2}) == ["report"]
    assert _redone({}, extra={"track": ["flame", 1]})[0] == "track"
    assert _redone({}, extra={"evaluate": "pilots"}) == ["evaluate", "report"]


def _finished(home: Path) -> None:
    for stage, names in plan.FILES.items():
        made.write(home, stage, "0123456789ab")
        for name in names:
            (home / name).parent.mkdir(exist_ok=True)
            (home / name).touch()


def test_stamps_of_stages_whose_files_are_gone_are_removed(tmp_path: Path) -> None:
    _finished(tmp_path)
    plan.tidy(tmp_path)
    assert all(made.stamps(tmp_path, stage) for stage in made.STAGES)
    (tmp_path / "dataset.h5").unlink()
    plan.tidy(tmp_path)
    assert [stage for stage in made.STAGES if not made.stamps(tmp_path, stage)] == ["pack"]
    (tmp_path / "avatar/avatar.safetensors").unlink()
    plan.tidy(tmp_path)
    kept = [stage for stage in made.STAGES if made.stamps(tmp_path, stage)]
    assert kept == ["ingest", "matte", "track", "refine"]


@pytest.mark.fault("H11")
def test_stamps_are_dated_in_the_order_of_the_stages(tmp_path: Path) -> None:
    _finished(tmp_path)
    paths = [made.stamps(tmp_path, stage)[0] for stage in made.STAGES]
    for path, date in zip(paths, (5, 3, 9, 1, 7, 8, 9, 2), strict=True):
        os.utime(path, (date, date))
    plan.tidy(tmp_path)
    assert [path.stat().st_mtime for path in paths] == [5, 5, 9, 9, 9, 9, 9, 9]
