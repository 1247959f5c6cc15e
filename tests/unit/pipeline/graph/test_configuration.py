"""Settings of all and of one subject, checked before anything runs."""

from pathlib import Path
from typing import Any

import pytest

from avatar.base.errors import UserError
from pipeline.graph.configuration import check, of_subject, read_config
from pipeline.graph.subject_table import Row


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "config/subjects").mkdir(parents=True)
    (tmp_path / "config/config.yaml").write_text("rig: anny\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _config(project: Path, text: str, command_line: dict[str, Any] | None = None) -> dict[str, Any]:
    (project / "config/config.yaml").write_text(text)
    return read_config(command_line or {})


def test_what_is_not_given_has_its_default(project: Path) -> None:
    found = check(_config(project, "train: {seed: 3}\n"), "x")
    assert (found.rig, found.flame) == ("anny", None)
    assert found.stages["train"].seed == 3
    assert found.stages["ingest"].size_mono == 512
    assert found.values["train"] == {"seed": 3}


def test_later_settings_override_earlier_ones_key_by_key(project: Path) -> None:
    config = _config(
        project,
        "ingest: {size: 400, fps: 10.0}\ntrain: {preset: quick, seed: 1}\n",
        {"ingest": {"fps": 20.0}, "train": {"preset": "fast"}},
    )
    row = Row("anna", preset="paper")
    (project / "config/subjects/anna.yaml").write_text("train: {seed: 2}\npack: {gate: warn}\n")
    anna = of_subject("anna", config, row).stages
    assert (anna["ingest"].size, anna["ingest"].fps) == (400, 20.0)
    assert (anna["train"].preset, anna["train"].seed) == ("paper", 2)
    assert anna["pack"].gate == "warn"
    bert = of_subject("bert", config, None).stages
    assert (bert["train"].preset, bert["train"].seed, bert["pack"].gate) == ("fast", 1, "strict")


@pytest.mark.fault("M12")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rgi: anny\n", "config/config.yaml: rgi is no setting: did you mean 'rig'?"),
        ("zzz: 1\n", "zzz is no setting: expected one of rig, flame, ingest, "),
        ("ingest: {sizze: 3}\n", "config/config.yaml: ingest.sizze is no setting: did you mean"),
        ("ingest:\n", "ingest is None, expected its settings"),
        ("ingest: 3\n", "ingest is 3, expected its settings"),
        ("ingest: {fps: 2024-01-01}\n", 'ingest.fps is "2024-01-01", expected'),
        ("ingest: {size: '802'}\n", 'ingest.size is "802", expected a whole number'),
        ("ingest: {size: .nan}\n", "ingest.size is"),
        ("track: {photometric: 1}\n", "track.photometric is 1, expected true or false"),
        ("3: x\n", "3 is no setting"),
        ("flame: [x]\n", "flame is ['x'], expected the path of your FLAME file"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_key(
    project: Path, text: str, message: str
) -> None:
    with pytest.raises(UserError) as caught:
        _config(project, text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("config/config.yaml: ")


@pytest.mark.fault("M11")
@pytest.mark.parametrize(
    "text",
    [
        "evaluate: {video_frames: 0}", "evaluate: {background: .nan}", "evaluate: {background: 7}",
        "track: {focal: 0}", "track: {focal: -1}", "track: {overlay: 0}", "ingest: {size: 1}",
        "pack: {split: {fraction: 1.0}}",
    ],
)  # fmt: skip
def test_values_out_of_range_are_refused_when_the_config_is_read(project: Path, text: str) -> None:
    with pytest.raises(UserError, match=r"^config/config\.yaml: \w+\.[\w.]+ is .*, expected"):
        _config(project, text)


@pytest.mark.fault("M13")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: {preset: papr}\n", 'train.preset is "papr", expected one of auto, paper'),
        ("train: {overrides: {imges: 3}}\n", "train.overrides.imges is no setting: did you mean"),
        ("train: {overrides: {rates: {opacity: 3}}}\n", "overrides.rates.opacity is no setting"),
        ("rig: any\n", "rig is 'any': did you mean 'anny'?"),
        ("rig: smpl\n", "rig is 'smpl': expected anny, flame, or the name of a file in"),
    ],
)
def test_preset_rig_and_overrides_are_checked(project: Path, text: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        _config(project, text)
    assert message in str(caught.value)


def test_a_rig_of_the_users_own_needs_its_file(project: Path) -> None:
    (project / "results/rigs").mkdir(parents=True)
    (project / "results/rigs/mine.npz").touch()
    assert check(_config(project, "rig: mine\n"), "x").rig == "mine"


def test_the_rig_flame_needs_the_users_file(project: Path) -> None:
    config = _config(project, "rig: anny\n")
    with pytest.raises(UserError, match=r"^config/subjects\.tsv: anna: flame is None, which is no"):
        of_subject("anna", config, Row("anna", rig="flame"))
    config = _config(project, "rig: flame\nflame: my flame.pkl\n")
    with pytest.raises(UserError, match=r"^config/config\.yaml: flame is 'my flame.pkl', which"):
        of_subject("anna", config, None)
    (project / "my flame.pkl").touch()
    assert of_subject("anna", config, None).flame == "my flame.pkl"


def test_numbers_of_the_command_line_come_as_text(project: Path) -> None:
    given = {"train": {"seed": "5"}, "track": {"photometric": "false", "focal": "1.5"}}
    stages = check(_config(project, "rig: anny\n", given), "x").stages
    assert (stages["train"].seed, stages["track"].photometric) == (5, False)
    assert stages["track"].focal == 1.5
    camera = {"pack": {"split": {"camera": "5"}}}
    assert check(_config(project, "rig: anny\n", camera), "x").stages["pack"].split.camera == "5"


@pytest.mark.fault("M12")
def test_a_mistake_on_the_command_line_is_said_to_be_there(project: Path) -> None:
    with pytest.raises(UserError, match=r"^--config or --configfile: trian is no setting"):
        _config(project, "rig: anny\n", {"trian": {"seed": 1}})


@pytest.mark.fault("4.1")
@pytest.mark.parametrize(
    ("text", "row", "message"),
    [
        ("trian: {}\n", None, r"^config/subjects/anna\.yaml: trian is no setting: did you mean"),
        ("train: {seed: -1}\n", None, r"^config/subjects/anna\.yaml: train\.seed is -1"),
        ("", None, r"^config/subjects/anna\.yaml is empty"),
        (None, Row("anna", preset="papr"), r"^config/subjects\.tsv: anna: train\.preset is"),
        (None, Row("anna", rig="any"), r"^config/subjects\.tsv: anna: rig is 'any'"),
    ],
)
def test_a_mistake_of_one_subject_names_its_file(
    project: Path, text: str | None, row: Row | None, message: str
) -> None:
    if text is not None:
        (project / "config/subjects/anna.yaml").write_text(text)
    config = read_config({})
    with pytest.raises(UserError, match=message):
        of_subject("anna", config, row)
    assert of_subject("bert", config, None).rig == "anny"
