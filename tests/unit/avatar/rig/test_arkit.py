import pytest
import torch

from avatar.rig import arkit


def test_every_action_is_an_expression_or_a_rotation():
    assert len(arkit.ARKIT_NAMES) == len(set(arkit.ARKIT_NAMES)) == 52
    assert len(arkit.EXPR_NAMES) == 41
    assert set(arkit.EXPR_NAMES) | set(arkit.ROTATIONS) == set(arkit.ARKIT_NAMES)
    assert "jawForward" in arkit.EXPR_NAMES


def test_there_and_back():
    """Each action alone: opposites never at once, as ARKit gives them."""
    strengths = torch.eye(52)
    rig = arkit.from_arkit(strengths)
    assert rig["expr"].shape == (52, 41)
    torch.testing.assert_close(arkit.to_arkit(**rig), strengths)


def test_signs_by_hand():
    rig = arkit.from_arkit(arkit.named({"jawOpen": 0.5, "eyeLookOutRight": 1.0}, 1)[0])
    torch.testing.assert_close(rig["jaw_pose"], torch.tensor([arkit.JAW_OPEN / 2, 0.0, 0.0]))
    expected = torch.tensor([0.0, 0.0, 0.0, 0.0, -arkit.EYE_SIDE, 0.0])
    torch.testing.assert_close(rig["eyes_pose"], expected)


def test_unknown_action():
    with pytest.raises(ValueError, match="mouthWhistle"):
        arkit.named({"mouthWhistle": 1.0}, 1)
