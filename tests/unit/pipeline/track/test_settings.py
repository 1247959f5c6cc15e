import pytest
from pydantic import TypeAdapter, ValidationError

from pipeline.track.settings import TrackSettings

READ = TypeAdapter(TrackSettings).validate_python


@pytest.mark.parametrize("setting", ["none", "camera", "sequence"])
def test_what_may_be_held_out(setting: str) -> None:
    assert READ({"hold_out": setting}).hold_out == setting


@pytest.mark.parametrize(
    "given",
    [
        {"hold_out": "both"},
        {"ready": "auto"},
        {"focal": 0},
        {"priors": {"shape": -1}},
        {"gate": {"face_share": [0.5, 0.9]}},
    ],
)
def test_what_makes_no_sense_is_refused(given: dict) -> None:
    with pytest.raises((ValidationError, ValueError)):
        READ(given)
