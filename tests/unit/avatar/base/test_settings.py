import json
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from avatar.base import settings
from avatar.base.errors import UserError
from avatar.base.settings import NO_OTHER_KEYS, FilePath, PositiveInt, Share
from pipeline.graph.configuration import STAGES


@dataclass
class Inner:
    """Nested.

    Attributes:
        share: of
            all.
        low, high: bounds.
    """

    __pydantic_config__ = NO_OTHER_KEYS
    share: Share = 0.5
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError(f"low is {self.low}, expected at most high")


@dataclass
class Example:
    """Outer.

    Attributes:
        size: pixels.
        speed: of light.
        pair: two.
        method: how.
        model: file.
        inner: more.
    """

    __pydantic_config__ = NO_OTHER_KEYS
    size: PositiveInt = 512
    speed: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    pair: tuple[Share, Share] = (0.1, 0.2)
    method: Literal["auto", "slow"] = "auto"
    model: FilePath | None = None
    inner: Inner = field(default_factory=Inner)


def test_absent_keys_keep_their_default_and_given_ones_count() -> None:
    assert settings.read(Example, "{}") == Example()
    text = '{"size": 256, "pair": [0, 1], "speed": 3, "inner": {"share": 0.1}}'
    wanted = Example(size=256, pair=(0, 1), speed=3.0, inner=Inner(share=0.1))
    assert settings.read(Example, text) == wanted


def test_assignments_override_the_object_and_one_another() -> None:
    assignments = ["size=128", "inner.share=1e-3", "method=slow", "size=64", "model=a=b.pt"]
    found = settings.read(Example, '{"size": 256, "inner": {"high": 2}}', assignments)
    wanted = Inner(share=1e-3, high=2.0)
    assert found == Example(size=64, method="slow", model="a=b.pt", inner=wanted)
    assert settings.read(Example, '{"speed": 2}', ["speed=null"]).speed is None
    assert settings.read(Example, "{}", ["inner={share: 0.25}"]).inner == Inner(share=0.25)


@pytest.mark.fault("M11")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"size": 0}', "settings: ex.size is 0, expected a whole number of 1 or more"),
        ('{"size": -1}', "ex.size is -1, expected"),
        ('{"size": true}', "ex.size is true, expected a whole number"),
        ('{"size": "8"}', 'ex.size is "8", expected a whole number'),
        ('{"size": 1.5}', "ex.size is 1.5, expected a whole number"),
        ('{"size": null}', "ex.size is null, expected"),
        ('{"size": 1e400}', "ex.size is Infinity, expected a whole number"),
        ('{"speed": NaN}', "ex.speed is NaN, expected a number above 0 or null"),
        ('{"speed": -Infinity}', "ex.speed is -Infinity, expected a number above 0"),
        ('{"pair": [0.1, 7]}', r"ex.pair.1 is 7, expected a number from 0 to 1"),
        ('{"pair": [0.1]}', "ex.pair.1 is missing: give a number from 0 to 1"),
        ('{"pair": 3}', "ex.pair is 3, expected 2 values, each a number from 0 to 1"),
        ('{"method": "fast"}', 'ex.method is "fast", expected one of auto, slow'),
        ('{"model": ""}', 'ex.model is "", expected text, not empty'),
        ('{"model": "a\\u0000b"}', "ex.model is"),
        ('{"inner": {"share": 2}}', "ex.inner.share is 2, expected a number from 0 to 1"),
        ('{"inner": 2}', "ex.inner is 2, expected a mapping"),
        ('{"inner": {"low": 2}}', "ex.inner: low is 2.0, expected at most high"),
        ('{"sizze": 3}', "ex.sizze is no setting: did you mean 'size'?"),
        ('{"inner": {"shaer": 3}}', "ex.inner.shaer is no setting: did you mean 'share'?"),
        ('{"zzz": 3}', "ex.zzz is no setting: expected one of size, speed"),
        ("{", "settings: the whole object: no JSON object"),
        ("[]", "settings: the whole object is .*expected a JSON object"),
        ('{"size": 1, "size": 2}', "size given twice"),
        ('{"a":' * 100_000, "no JSON object"),
        ('{"size": ' + "9" * 5000 + "}", "no JSON object"),
        ('{"model": {"x": "' + "y" * 1000 + '"}}', r"ex.model is .{,60}, expected"),
    ],
)
def test_what_is_wrong_is_named_with_its_value_and_what_is_allowed(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        settings.read(Example, text, stage="ex")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("size", "expected NAME=VALUE"),
        ("=3", "expected NAME=VALUE"),
        ("inner..share=3", "expected NAME=VALUE"),
        ("size.x=3", "a value of its own"),
        ("size=[1", "neither JSON nor YAML"),
        ("sizze=3", "did you mean 'size'"),
        ("inner.share=.nan", "inner.share is NaN, expected"),
        ("size=2020-01-01", "size is .2020-01-01., expected a whole number"),
    ],
)
def test_a_wrong_assignment(assignment: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        settings.read(Example, '{"size": 1}', [assignment])


def test_merge_replaces_key_by_key() -> None:
    base = {"a": 1, "b": {"c": 2, "d": 3}}
    assert settings.merge(base, {"b": {"c": 5}, "e": 6}) == {"a": 1, "b": {"c": 5, "d": 3}, "e": 6}
    assert base == {"a": 1, "b": {"c": 2, "d": 3}}


def test_the_description_names_every_setting_with_default_range_and_text() -> None:
    lines = settings.describe(Example).splitlines()
    assert lines[:2] == ["  size = 512   (a whole number of 1 or more)", "      pixels."]
    at = lines.index("  inner.share = 0.5   (a number from 0 to 1)")
    assert lines[at + 1] == "      of all."
    assert lines[-1] == "      bounds."


def _leaves(value: dict[str, Any], prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for key, entry in value.items():
        nested = isinstance(entry, dict) and entry
        found += _leaves(entry, (*prefix, key)) if nested else [(*prefix, key)]
    return found


def _nested(path: tuple[str, ...], value: object) -> dict[str, Any]:
    nested: Any = value
    for key in reversed(path):
        nested = {key: nested}
    return nested


@pytest.mark.fault("M11")
@pytest.mark.parametrize("stage", STAGES)
def test_no_number_of_any_stage_takes_what_is_not_finite_or_below_zero(stage: str) -> None:
    defaults = json.loads(json.dumps(STAGES[stage]().__dict__, default=vars))
    for path in _leaves(defaults):
        default: Any = defaults
        for key in path:
            default = default[key]
        if path == ("overrides",):
            continue
        for wrong in (float("nan"), float("inf"), -float("inf"), -1, -0.5):
            value = [wrong, default[1]] if isinstance(default, list) else wrong
            with pytest.raises(UserError, match=rf"settings: {stage}\.{'.'.join(path)}"):
                settings.check(STAGES[stage], _nested(path, value), stage)


@pytest.mark.fault("M11")
@pytest.mark.parametrize(
    ("stage", "values"),
    [
        ("ingest", {"size": 1}),
        ("ingest", {"size_mono": 0}),
        ("ingest", {"max_frames": 1}),
        ("ingest", {"fps": 0}),
        ("ingest", {"image_fps": 0}),
        ("ingest", {"duration": 0}),
        ("matte", {"backend": "onnx"}),
        ("track", {"focal": 0}),
        ("track", {"overlay": 0}),
        ("track", {"priors": {"noise": 0}}),
        ("track", {"priors": {"bias": 1.5}}),
        ("track", {"gate": {"face_share": [0.5, 0.9]}}),
        ("track", {"gate": {"face_share": [9, 0]}}),
        ("track", {"gate": {"reprojection": [6, 3]}}),
        ("track", {"gate": {"jitter": [20.0, 6.0]}}),
        ("track", {"gate": {"silhouette": [0.4, 0.7]}}),
        ("track", {"gate": {"saturation": [0.3, 0.05]}}),
        ("pack", {"split": {"fraction": 0}}),
        ("pack", {"split": {"fraction": 1}}),
        ("pack", {"split": {"fraction": -0.5}}),
        ("train", {"seed": 10**30}),
        ("train", {"preset": "pape"}),
        ("train", {"overrides": {"imagse": 5}}),
        ("train", {"preset": "paper", "overrides": {"rates": {"quats": -1}}}),
        ("evaluate", {"video_frames": 0}),
        ("evaluate", {"background": 7}),
    ],
)
def test_values_out_of_range_are_refused(stage: str, values: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=f"settings: {stage}"):
        settings.check(STAGES[stage], values, stage)


@pytest.mark.parametrize("stage", STAGES)
def test_every_setting_of_every_stage_is_described(stage: str) -> None:
    lines = settings.describe(STAGES[stage]).splitlines()
    named = [line for line in lines if line.startswith("  ") and line[2] != " "]
    defaults = json.loads(json.dumps(STAGES[stage]().__dict__, default=vars))
    assert [line.split(" = ")[0].strip() for line in named] == [
        ".".join(path) for path in _leaves(defaults)
    ]
