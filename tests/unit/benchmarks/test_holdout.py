import subprocess
from pathlib import Path

import numpy as np
import pytest

from avatar.base import files, made
from avatar.base.errors import UserError
from avatar.base.version import code_version
from avatar.train.__main__ import main as train
from benchmarks import holdout as bench
from pipeline.evaluate.__main__ import main as evaluate
from tests.rigs import toy_rig
from tests.scenes import pass_on, write_scene

LOG = """[Sat Nov 28 11:00:00 2026]
localrule refine:
    jobid: 3
    wildcards: subject=anna, made_from=081d1d70bc4a
[Sat Nov 28 11:01:40 2026]
Finished jobid: 3 (Rule: refine)
[Sat Nov 28 11:01:40 2026]
localrule anna:
    jobid: 0
Finished jobid: 0 (Rule: anna)
"""


def columns(line: str) -> list[str]:
    return [text.strip() for text in line.strip("|").split("|")]


def test_captures_are_called_by_their_file_but_by_no_person(tmp_path: Path) -> None:
    assert bench.label(Path("clips/long_hair_woman_512.mp4")) == "long_hair_woman_512"
    assert bench.label(Path("clips/anna_address.mp4")) == "address"
    assert bench.label(Path("data/facekit/capture")) == bench.label(Path("facekit")) == "facekit"
    for name in ("b.MP4", "a.mp4", "README.md"):
        (tmp_path / name).touch()
    assert [path.name for path in bench.videos(tmp_path)] == ["a.mp4", "b.MP4"]
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match="no video file"):
        bench.videos(tmp_path / "none")


def test_every_capture_is_linked_and_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip, folder = tmp_path / "anna_address.mp4", tmp_path / "facekit/capture"
    clip.touch()
    folder.mkdir(parents=True)
    asked = []

    def fails(work: Path, settings: object, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        asked.append(arguments)
        return subprocess.CompletedProcess([], 1)

    monkeypatch.setattr(bench, "run_workflow", fails)
    work = tmp_path / "work"
    for _ in range(2):  # the second call finds its links
        bench.make(work, [clip, folder], True, "2")
    assert asked[1] == ("--keep-going", "--cores", "2", "address", "facekit", "demo")
    assert (work / "captures/address.mp4").resolve() == clip
    assert (work / "captures/facekit").resolve() == folder
    for subject in asked[1][3:]:
        made.write(work / "results" / subject, "evaluate", "0123abc")
    with pytest.raises(UserError, match="the workflow failed"):
        bench.make(work, [clip, folder], True, "2")
    with pytest.raises(UserError, match="the same name: rename one of address, address"):
        bench.make(work, [clip, tmp_path / "nora_address.mp4"], False, "2")


def test_reason_of_a_failure(tmp_path: Path) -> None:
    assert bench.failure(tmp_path) == "no evaluation, and no error line"
    files.write_json(tmp_path / "failures/track.json", {"error": "no face in a|b"})
    assert bench.failure(tmp_path) == "track: no face in a\\|b"
    made.write(tmp_path, "evaluate", "0123abc")
    assert bench.failure(tmp_path) == ""


def test_a_subject_is_measured(tmp_path: Path) -> None:
    rig, home = toy_rig(), tmp_path / "results/anna"
    rig.save(tmp_path / "toy.npz")
    write_scene(home / "dataset.h5", rig, 4)
    pass_on(home, tmp_path / "toy.npz")
    arguments = ["--subject", "anna", "--results", str(tmp_path / "results")]
    arguments += ["--rig", str(tmp_path / "toy.npz")]
    settings = '{"preset": "quick", "overrides": {"images": 24}}'
    assert train([*arguments, "--settings", settings]) == 0
    assert evaluate(arguments) == 0
    found = bench.measure(home, rig)
    regions = ("full", "mask", "head", "torso", "mouth", "eyes")
    for protocol in ("training", bench.HELD, bench.REFINED, bench.NEW):
        assert {f"{protocol} {region}" for region in regions} <= found.keys()
    assert found["n"] == 8
    assert found["distance"] >= 0
    # The scene is alike in both parts, so training frames cannot be far from the held-out camera's.
    assert found["training full"] == pytest.approx(found["novel_view full"], abs=3)
    assert bench.other_code([home]) == ""
    summary = files.read_json(home / "eval/summary.json")
    assert summary["code_version"] == code_version()
    files.write_json(home / "eval/summary.json", summary | {"code_version": "0.0"})
    assert bench.other_code([home]).endswith("earlier commit: anna.")


def test_seconds_of_the_last_run_of_each_stage(tmp_path: Path) -> None:
    (tmp_path / "1.log").write_text(LOG)
    (tmp_path / "2.log").write_text(LOG.replace("11:01:40", "11:00:07"))
    assert bench.seconds(tmp_path) == {"anna": {"seconds refine": 7, "seconds all": 7}}


def test_gains_by_hand() -> None:
    found = {f"{bench.HELD} full": 25.0, f"{bench.REFINED} full": 28.0, f"{bench.HELD} head": 20.0}
    gains = bench.gains(found, {"full": 21.5, "head": 21.0})
    assert gains[f"gain {bench.HELD} full"] == 3.5
    assert gains[f"gain {bench.REFINED} full"] == 6.5
    assert gains[f"gain {bench.HELD} head"] == -1
    assert np.isnan(gains[f"gain {bench.REFINED} head"])


def test_scoreboard_by_hand() -> None:
    one = {"n": 10.0, f"{bench.HELD} full": 24.0, f"gain {bench.HELD} full": 2.5, "distance": 1.0}
    two = {"n": 12.0, f"{bench.HELD} full": 26.0, "seconds all": 481.0}
    demo = {"n": 480.0, f"{bench.HELD} full": 29.0, f"{bench.NEW} full": 31.0}
    found = {"one": one, "two": two, "demo": demo}
    text = bench.scoreboard(found, {"three": "track: no face"}, ["one", "three", "two"], ["demo"])
    first, *others = text.split("\n\n")[1::2]
    assert [columns(line)[0] for line in first.splitlines()][2:6] == ["one", "three", "two", "demo"]
    rows = {columns(line)[0]: columns(line)[1:] for line in first.splitlines()}
    assert rows["capture"][:5] == ["n", "distance, degrees", "training", "held out", "gain"]
    assert rows["one"][:5] == ["10", "1.0", "", "24.00", "+2.50"]
    assert rows["demo"][-1] == "31.00"
    assert rows["three"] == ["track: no face", *[""] * 11]
    last = columns(first.splitlines()[-1])
    assert last[:6] == ["mean of 2 of 3 one-camera clips", "", "1.0", "", "25.00", "+2.50"]
    assert len(others) == len(bench.TABLES) - 1
    assert not any("no face" in other for other in others)
    assert columns(others[-1].splitlines()[-1])[-1] == "481"


def test_all_captures_may_fail() -> None:
    assert "| one | ingest: not a video |" in bench.scoreboard(
        {}, {"one": "ingest: not a video"}, ["one"], []
    )
