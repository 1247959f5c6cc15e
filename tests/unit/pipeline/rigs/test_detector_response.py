import numpy as np
import pytest
import torch

from avatar.rig import HeadRig
from pipeline.rigs import detector_response, painted_face
from pipeline.rigs.anny import head as anny_head
from pipeline.track.solve import rotations


def views(count: int, rng: np.random.Generator) -> np.ndarray:
    turns = rng.uniform((-0.3, -0.8, -0.2), (0.3, 0.8, 0.2), (count, 3))
    return np.diag([1.0, -1, -1]) @ rotations.exp(turns)


def test_a_known_answer_is_found_though_a_third_of_the_landmarks_hide():
    """Images show two components of a displacement; what hidden landmarks say is nonsense."""
    rng = np.random.default_rng(0)
    turns = views(4000, rng)
    coefficients = np.concatenate([np.ones((4000, 1)), rng.normal(0, 1, (4000, 4))], 1)
    true = rng.normal(0, 0.002, (6, 3, 5))
    error = np.einsum("nij,ljk,nk->nli", turns[:, :2], true, coefficients)
    visible = (rng.random((4000, 6)) < 0.67).astype(float)
    error += 0.1 * (1 - visible)[..., None]
    found = detector_response.regress(coefficients, turns, error, visible)
    np.testing.assert_allclose(found, true, atol=1e-4)


def test_what_no_render_shows_stays_zero():
    rng = np.random.default_rng(1)
    coefficients = np.concatenate([np.ones((50, 1)), np.zeros((50, 2))], 1)
    error = rng.normal(0, 0.002, (50, 3, 2))
    found = detector_response.regress(coefficients, views(50, rng), error, np.ones((50, 3)))
    assert np.abs(found[..., 0]).max() > 1e-4
    assert not found[..., 1:].any()


@pytest.mark.parametrize("part", ["eyes", "mouth"])
def test_fresh_faces_are_met_more_closely(anny_rig: HeadRig, part: str):
    """Renders with another seed: the learnt answer explains a third of the squared error."""
    assert anny_rig.landmarks is not None
    palette = painted_face.Palette(freckles=0.0, clothed=False)
    texture = painted_face.texture(anny_head.load_head(), 512, palette)
    sample = detector_response.draw(anny_rig, texture, 120, seed=5)
    learnt = anny_rig.landmarks.response.double().numpy()
    expected = np.einsum("nij,ljk,nk->nli", sample.turns[:, :2], learnt, sample.coefficients)
    corners = anny_rig.faces[anny_rig.landmarks.faces]
    chosen = anny_rig.masks[part][corners].all(1).numpy()
    weight = (sample.visible * chosen)[..., None]
    plain = (weight * sample.error**2).sum()
    assert (weight * (sample.error - expected) ** 2).sum() < 0.67 * plain


def test_the_same_random_faces_every_time():
    first, second = (detector_response._strengths(np.random.default_rng(4)) for _ in range(2))
    assert first == second
    assert all(0 <= strength <= 1 for strength in first.values())


def test_eyes_are_left_to_geometry():
    still = {"expr": torch.tensor([0.5, 0.25]), "jaw_pose": torch.tensor([0.1, 0.0, 0.0])}
    ahead = detector_response._known(torch.tensor([2.0]), still | {"eyes_pose": torch.zeros(6)})
    aside = detector_response._known(
        torch.tensor([2.0]), still | {"eyes_pose": torch.full((6,), 0.3)}
    )
    np.testing.assert_array_equal(ahead, aside)
    np.testing.assert_allclose(ahead[:4], [1, 2, 0.5, 0.25])
    np.testing.assert_allclose(ahead[8], np.cos(0.1) - 1, atol=1e-9)
    assert len(ahead) == 1 + 1 + 2 + 9
