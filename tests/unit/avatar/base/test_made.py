"""Stamps of finished stages."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from avatar.base import made


def test_a_stage_that_is_made_again_takes_back_the_stamps_after_it(tmp_path: Path) -> None:
    for stage in made.STAGES:
        made.write(tmp_path, stage, "0123456789ab")
    made.clear(tmp_path, "pack")
    kept = [stage for stage in made.STAGES if made.stamps(tmp_path, stage)]
    assert kept == ["ingest", "matte", "track"]


def test_stamps_of_two_runs_differ(tmp_path: Path) -> None:
    path = made.stamp(tmp_path, "train", "0123456789ab")
    made.write(tmp_path, "train", "0123456789ab")
    first = path.read_bytes()
    made.write(tmp_path, "train", "0123456789ab")
    assert made.stamps(tmp_path, "train") == [path]
    assert path.read_bytes() != first


def test_a_stage_that_is_not_known_is_a_mistake_of_the_code(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="trian"):
        made.clear(tmp_path, "trian")


@dataclass
class _Limits:
    most: int = 7
    shown: int = field(default=3, metadata=made.NO_EFFECT)


@dataclass
class _Settings:
    size: int = 512
    workers: int = field(default=2, metadata=made.NO_EFFECT)
    limits: _Limits = field(default_factory=_Limits)
    gate: _Limits = field(default_factory=_Limits, metadata=made.NO_EFFECT)


@pytest.mark.fault("4.1")
def test_only_what_changes_the_output_counts() -> None:
    expected = {"size": 512, "limits": {"most": 7}}
    assert made.output_part(_Settings()) == expected
    assert made.output_part(_Settings(workers=9, gate=_Limits(most=1))) == expected
    assert made.output_part(_Settings(size=256)) != expected
