import pytest

from avatar.base.errors import Busy, UserError, one_line, printable


def test_exit_codes() -> None:
    assert UserError("x").exit_code == 2
    assert Busy("x").exit_code == 75
    assert isinstance(Busy("x"), UserError)


def test_a_message_becomes_one_line() -> None:
    assert one_line(UserError("clip\n\tis  no\r\nvideo")) == "clip is no video"


@pytest.mark.fault("L6")
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("anna.mp4: ä 日本 – ok", "anna.mp4: ä 日本 – ok"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("a\x07b\x08c\x00", r"a\x07b\x08c\x00"),
        ("\x9b2J", r"\x9b2J"),
        ("a\nb\rc", r"a\nb\rc"),
        ("gnp.\u202egpj", r"gnp.\u202egpj"),
        ("zero\u200bwidth\u2028", r"zero\u200bwidth\u2028"),
        ("bad \udcff byte", r"bad \udcff byte"),
    ],
)
def test_control_characters_are_shown_not_sent(text: str, shown: str) -> None:
    assert printable(text) == shown
