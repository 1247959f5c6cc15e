import pytest

from avatar.base import settings
from avatar.base.errors import UserError
from avatar.refine.settings import RefineSettings


def test_it_is_on_unless_it_is_switched_off() -> None:
    assert RefineSettings().enabled
    assert not settings.read(RefineSettings, '{"enabled": false}').enabled
    with pytest.raises(UserError, match=r"refine\.enabled is \"no\", expected true or false"):
        settings.check(RefineSettings, {"enabled": "no"}, "refine")
