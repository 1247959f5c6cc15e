import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatar.base import names
from avatar.base.errors import UserError


@pytest.mark.parametrize("name", ["a", "subject_042", "0-0", "A" * 64])
def test_good_names_come_back_unchanged(name: str) -> None:
    assert names.check_name(name, "subject") == name


@pytest.mark.parametrize(
    "name", ["", "a;touch X", "../x", "-a", "_a", ".hidden", "a b", "a/b", "a\n", "ä", "A" * 65]
)
def test_bad_names_are_refused_on_one_line(name: str) -> None:
    with pytest.raises(UserError, match="is not allowed"):
        names.check_name(name, "camera")


def test_reserved_names_depend_on_the_kind() -> None:
    with pytest.raises(UserError, match="reserved"):
        names.check_name("plates", "sequence")
    with pytest.raises(UserError, match="reserved"):
        names.check_name("tables", "subject")
    assert names.check_name("plates", "subject") == "plates"


@given(st.text(max_size=70))
def test_an_accepted_name_is_harmless_in_a_shell_and_a_path(name: str) -> None:
    if names.is_name(name):
        assert name[0] not in "-_."
        assert not set(name) & set("/\\ ;$`'\"\n*?")
