from dataclasses import fields

import pytest

from pipeline.track.settings import Gate


def test_every_limit_warns_before_it_fails() -> None:
    """`face_share` and `silhouette` are bad when small, the others when large."""
    gate = Gate()
    falling = {e.name for e in fields(gate) if getattr(gate, e.name)[0] > getattr(gate, e.name)[1]}
    assert falling == {"face_share", "silhouette"}


@pytest.mark.fault("M11")
def test_limits_the_wrong_way_round_are_refused() -> None:
    for entry in fields(Gate):
        warn, fail = getattr(Gate(), entry.name)
        assert getattr(Gate(**{entry.name: (warn, warn)}), entry.name) == (warn, warn)
        with pytest.raises(ValueError, match=rf"{entry.name} is .*expected \[warn, fail\]"):
            Gate(**{entry.name: (fail, warn)})
