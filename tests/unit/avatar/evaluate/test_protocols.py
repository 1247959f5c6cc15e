from pathlib import Path

from avatar.evaluate.protocols import CROSS_REENACTMENT, PROTOCOLS, WHOLE


def test_a_protocol_has_its_own_background_or_that_of_the_settings() -> None:
    backgrounds = {name: p.describe(0.25)["background"] for name, p in PROTOCOLS.items()}
    assert {name for name, grey in backgrounds.items() if grey == 0.25} == {
        *WHOLE, "self_reenactment_refined"
    }  # fmt: skip
    assert backgrounds["head"] == 0
    assert backgrounds["neck_line"] == backgrounds["neck_line_novel_view"] == 1


def test_no_two_protocols_measure_the_same() -> None:
    told = [tuple(p.describe(1.0).values()) for p in PROTOCOLS.values()]
    done = [(p.split, p.last, p.part, p.background, p.refined) for p in PROTOCOLS.values()]
    assert len(set(told)) == len(set(done)) == len(PROTOCOLS)


def test_the_page_defines_every_protocol() -> None:
    page = (Path(__file__).resolve().parents[4] / "docs/protocols.md").read_text(encoding="utf-8")
    for p in (*PROTOCOLS.values(), CROSS_REENACTMENT):
        assert f"| `{p.name}` | {p.frames} | {p.pixels} | {p.parameters} |" in page


def test_without_torso_only_heads_are_measured() -> None:
    assert all(p.fits(torso=True) for p in PROTOCOLS.values())
    assert [name for name, p in PROTOCOLS.items() if p.fits(torso=False)] == ["head"]
