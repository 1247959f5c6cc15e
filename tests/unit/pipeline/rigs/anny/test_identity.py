import numpy as np
import pytest

from pipeline.rigs.anny import identity


def test_macro_shares_of_an_identity_sum_to_one_each() -> None:
    person = identity.Identity(0.3, 0.6, -0.4, 0.2, (0.2, 0.3, 0.5), np.zeros(1))
    weights = identity.IdentityBasis._macro_weights(person)
    races = {name: w for name, w in weights.items() if "universal" not in name}
    assert sum(races.values()) == pytest.approx(1)
    assert sum(weights.values()) == pytest.approx(2)
    assert weights["macrodetails/asian-male-old"] == pytest.approx(0.3 * 0.3 * 0.6)
    body = "macrodetails/universal-female-young-minmuscle-averageweight"
    assert weights[body] == pytest.approx(0.7 * 0.4 * 0.4 * 0.8)


def test_sampled_identities_are_within_their_ranges() -> None:
    pairs = [("nose/l-a-decr", "nose/l-a-incr"), ("nose/r-a-decr", "nose/r-a-incr")] * 30
    rng = np.random.default_rng(0)
    samples = [identity.sample_identity(pairs, rng) for _ in range(200)]
    local = np.array([sample.local for sample in samples])
    assert abs(local).max() <= 1
    assert local.std() == pytest.approx(0.3, rel=0.1)
    assert np.corrcoef(local[:, 0], local[:, 1])[0, 1] > 0.8, "sides have much in common"
    for sample in samples:
        assert 0 <= sample.gender <= 1
        assert sum(sample.race) == pytest.approx(1)


def test_changes_that_are_no_face_shape_are_damped() -> None:
    assert identity.damping("neck/neck-trans-up") == 0.15
    assert identity.damping("head/head-trans-up") == 0.0
    assert identity.damping("nose/nose-hump-incr") == 1.0


def test_weights_move_the_mesh_as_their_targets_say() -> None:
    """One local change at full strength, against its own target and no other."""
    basis = identity.identity_basis()
    place = next(k for k, (_, high) in enumerate(basis.pairs) if high == "nose/nose-hump-incr")
    local = np.zeros(len(basis.pairs))
    average = identity.Identity(0.5, 0.25, 0.0, 0.0, (1 / 3, 1 / 3, 1 / 3), local)
    changed = identity.Identity(
        0.5, 0.25, 0.0, 0.0, (1 / 3, 1 / 3, 1 / 3), np.eye(len(basis.pairs))[place]
    )
    moved = basis.verts(changed) - basis.verts(average)
    np.testing.assert_allclose(moved, basis.base.target("nose/nose-hump-incr"), atol=1e-12)
