import pytest

from avatar.base import settings
from avatar.base.errors import UserError
from pipeline.evaluate.settings import EvaluateSettings


def test_the_background_is_white_unless_it_is_given() -> None:
    assert settings.check(EvaluateSettings, {}).background == 1.0
    assert settings.check(EvaluateSettings, {"background": 0}).background == 0.0


def test_lpips_is_measured_where_a_file_is_given() -> None:
    assert EvaluateSettings().lpips is None
    given = {"weights": "vgg16.pth", "sha256": "0" * 64}
    lpips = settings.check(EvaluateSettings, {"lpips": given}).lpips
    assert lpips is not None
    assert (lpips.weights, lpips.backbone) == ("vgg16.pth", "vgg")
    with pytest.raises(UserError, match=r"evaluate\.lpips\.sha256 is missing"):
        settings.check(EvaluateSettings, {"lpips": {"weights": "vgg16.pth"}}, "evaluate")


def test_refined_frames_are_measured_unless_they_are_switched_off() -> None:
    assert EvaluateSettings().refined
    assert not settings.check(EvaluateSettings, {"refined": False}).refined


@pytest.mark.fault("M11")
@pytest.mark.parametrize(
    "values",
    [{"background": 1.5}, {"background": float("nan")}, {"video_frames": 0}, {"refined": 1}],
)
def test_values_out_of_range_are_refused(values: dict) -> None:
    with pytest.raises(UserError, match=f"evaluate.{next(iter(values))} is"):
        settings.check(EvaluateSettings, values, "evaluate")
