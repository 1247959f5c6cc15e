import pytest

from avatar.base import settings
from avatar.base.errors import UserError
from pipeline.pack.settings import PackSettings, SplitSettings


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"gate": "lax"}', "gate"),
        ('{"split": {"fraction": 0}}', r"split\.fraction"),
        ('{"split": {"fraction": 1}}', r"split\.fraction"),
        ('{"split": {"fraktion": 0.3}}', "fraction"),
        ('{"split": {"camera": 8}}', r"split\.camera"),
    ],
)
def test_bad_settings_are_refused(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        settings.read(PackSettings, text, stage="pack")
    assert "\n" not in str(caught.value)


def test_what_is_not_given_keeps_its_default() -> None:
    read = settings.read(PackSettings, '{"split": {"sequence": "talk"}}')
    assert read == PackSettings("strict", SplitSettings(None, "talk", 0.3))
