"""What the tables read: every subject that can be read, and a name for what cannot."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from avatar.base import files, made
from pipeline.evaluate.summaries import (
    NO_AVATAR,
    OUTDATED,
    Failure,
    avatar_about,
    read_results,
    state,
)

SCORES = {"n": 60, "psnr": 28.0, "ssim": 0.9, "flip": 0.1}
SUMMARY: dict[str, Any] = {
    "subject": "anna", "group": "", "rig": "anny", "preset": "quick",
    "dataset_sha256": "abc", "overrides_hash": "",
    "protocols": {"novel_view": {"regions": {"full": SCORES}}},
}  # fmt: skip


def _avatar(home: Path, about: dict[str, Any]) -> None:
    header = json.dumps({"__metadata__": {"headsplat": json.dumps(about)}}).encode()
    path = home / "avatar/avatar.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(len(header).to_bytes(8, "little") + header)


def _evaluated(results: Path) -> Path:
    home = results / "anna"
    _avatar(home, {"dataset_sha256": "abc", "overrides_hash": ""})
    files.write_json(home / "eval/summary.json", SUMMARY)
    made.write(home, "evaluate", made.BY_HAND)
    return home


def test_a_subject_that_is_done_has_no_state(tmp_path: Path) -> None:
    _evaluated(tmp_path)
    found = read_results(tmp_path)
    assert not found.failures
    row = found.rows[0]
    assert (row["subject"], row["region"], row["psnr"], row["n"]) == ("anna", "full", 28.0, 60)
    assert (row["state"], row["images"]) == ("", None)


@pytest.mark.fault("4.2")
def test_an_avatar_that_is_gone_or_another_is_marked(tmp_path: Path) -> None:
    home = _evaluated(tmp_path)
    assert state(home, SUMMARY) == ""
    made.clear(home, "track")  # a stage was run again, and those after it not yet
    assert state(home, SUMMARY) == OUTDATED
    made.write(home, "evaluate", made.BY_HAND)
    _avatar(home, {"dataset_sha256": "another"})
    assert state(home, SUMMARY) == OUTDATED
    _avatar(home, {"dataset_sha256": "abc", "overrides_hash": "1a2b"})
    assert state(home, SUMMARY) == OUTDATED
    (home / "avatar/avatar.safetensors").unlink()
    assert state(home, SUMMARY) == NO_AVATAR


@pytest.mark.fault("4.2")
def test_without_stamps_times_decide(tmp_path: Path) -> None:
    home = tmp_path / "anna"
    _avatar(home, {})
    files.write_json(home / "eval/summary.json", SUMMARY)
    (home / "dataset.h5").touch()
    for seconds, name in enumerate(
        ("dataset.h5", "avatar/avatar.safetensors", "eval/summary.json")
    ):
        os.utime(home / name, (1e9 + seconds, 1e9 + seconds))
    assert state(home, SUMMARY) == ""
    os.utime(home / "dataset.h5", (1.5e9, 1.5e9))
    assert state(home, SUMMARY) == OUTDATED


CROSS: dict[str, Any] = {
    "protocol": "cross_reenactment", "subject": "anna", "driver": "dora", "preset": "quick",
    "dataset_sha256": "abc", "scores": {"n": 90, "jaw": 0.9, "blink": None, "identity": 2.0},
}  # fmt: skip


def test_a_reenactment_is_a_row_of_its_own(tmp_path: Path) -> None:
    home = _evaluated(tmp_path)
    summary = SUMMARY | {"group": "g"}
    files.write_json(home / "eval/summary.json", summary)
    files.write_json(home / "cross_reenactment/dora.json", CROSS)
    found = read_results(tmp_path)
    (row,) = found.cross
    assert (row["driver"], row["group"], row["n"], row["state"]) == ("dora", "g", 90, "")
    assert (row["jaw"], row["blink"], row["lids"]) == (0.9, None, None)
    assert [row["protocol"] for row in found.rows] == ["novel_view"]
    _avatar(home, {"dataset_sha256": "another"})
    assert read_results(tmp_path).cross[0]["state"] == OUTDATED


@pytest.mark.parametrize(
    "changed", [{"subject": "bert"}, {"scores": None}, {"scores": {"jaw": 1}}, {"driver": None}]
)
def test_a_reenactment_of_another_schema_is_named(tmp_path: Path, changed: dict[str, Any]) -> None:
    home = _evaluated(tmp_path)
    path = home / "cross_reenactment/dora.json"
    files.write_json(path, {k: v for k, v in (CROSS | changed).items() if v is not None})
    found = read_results(tmp_path)
    assert not found.cross
    assert len(found.rows) == 1
    error = f"{path} is damaged: run 'headsplat drive anna --by ... --measure' again"
    assert found.failures == [Failure("anna", "drive", error)]


_DEEP = "[" * 100_000


@pytest.mark.fault("L1")
@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[1]", "null", _DEEP, '{"protocols": ' + "9" * 5000 + "}",
        json.dumps(SUMMARY | {"subject": "bert"}),
        json.dumps(SUMMARY | {"group": ["x"]}),
        json.dumps(SUMMARY | {"images": float("inf")}),
        json.dumps(SUMMARY | {"protocols": {"novel_view": {"regions": {"full": {"n": 3}}}}}),
        json.dumps(SUMMARY).replace("28.0", "1e400"),
        json.dumps(SUMMARY).replace("28.0", "NaN"),
        json.dumps(SUMMARY).replace("28.0", "null"),
        json.dumps(SUMMARY).replace("flip", "flip_std").replace("0.1}", '"wide"}'),
        json.dumps(SUMMARY).replace("28.0", '"high"'),
        json.dumps(SUMMARY).replace("60", "1e400"),
    ],
)  # fmt: skip
def test_a_damaged_summary_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "anna/eval/summary.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    files.write_json(tmp_path / "bert/eval/summary.json", SUMMARY | {"subject": "bert"})
    found = read_results(tmp_path)
    assert [row["subject"] for row in found.rows] == ["bert"]
    error = f"{path} is damaged: run 'snakemake anna --forcerun evaluate'"
    assert found.failures == [Failure("anna", "evaluate", error)]


@pytest.mark.fault("L7")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    for folder in ("anna/eval", "bert/failures"):
        (tmp_path / folder).mkdir(parents=True)
    os.mkfifo(tmp_path / "anna/eval/summary.json")
    os.mkfifo(tmp_path / "bert/failures/track.json")
    assert [f.subject for f in read_results(tmp_path).failures] == ["bert", "anna"]


@pytest.mark.parametrize(
    "data", [b"", b"\xff" * 8, b"\x02\0\0\0\0\0\0\0{}", b"\x02\0\0\0\0\0\0\0[]", b"\x03\0\0\0"]
)
def test_a_damaged_avatar_tells_nothing(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "avatar.safetensors").write_bytes(data)
    assert avatar_about(tmp_path / "avatar.safetensors") == {}
