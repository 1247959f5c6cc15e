import numpy as np
import pytest

from pipeline.track.photometric import appearance

STEPS, CAMERAS, POINTS = 20, 3, 60


def _world(rng: np.random.Generator) -> tuple[np.ndarray, appearance.Appearance]:
    """Normals of a turning head, and how its points look."""
    normals = rng.normal(size=(STEPS, POINTS, 3))
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    gain = 0.1 * rng.normal(size=(CAMERAS, 2))
    return normals, appearance.Appearance(
        rng.normal(size=(POINTS, 2)), 0.2 * rng.normal(size=(8, 2)), gain - gain.mean(0),
        np.ones((POINTS, 2)),
    )  # fmt: skip


def test_harmonics_of_a_known_normal() -> None:
    got = appearance.harmonics(np.array([0.6, 0.0, 0.8]))
    assert got == pytest.approx([0.6, 0, 0.8, 0, 0, 0.48, 0.36, 0.92])


def test_albedo_light_and_gains_come_back_in_spite_of_outliers() -> None:
    rng = np.random.default_rng(0)
    normals, truth = _world(rng)
    values = truth.predict(normals) + 0.003 * rng.normal(size=(STEPS, CAMERAS, POINTS, 2))
    visible = rng.random((STEPS, CAMERAS, POINTS)) < 0.7
    wrong = rng.random((STEPS, CAMERAS, POINTS)) < 0.1
    values[wrong] += 1.0
    got = appearance.learn(values.astype(np.float32), visible, normals)
    assert np.abs(got.albedo - truth.albedo).max() < 0.02
    assert np.abs(got.gain - truth.gain).max() < 0.005
    assert np.abs(got.light - truth.light).max() < 0.01
    assert np.all(got.deviation < 2 * np.array(appearance.FLOOR))


def test_a_point_that_is_hardly_seen_has_no_say() -> None:
    rng = np.random.default_rng(1)
    normals, truth = _world(rng)
    visible = np.ones((STEPS, CAMERAS, POINTS), bool)
    visible[:, :, 7] = False
    visible[0, 0, 7] = True
    got = appearance.learn(truth.predict(normals), visible, normals)
    assert np.isinf(got.deviation[7]).all()
    assert np.isfinite(np.delete(got.deviation, 7, 0)).all()


def test_what_changes_from_frame_to_frame_is_trusted_less() -> None:
    rng = np.random.default_rng(2)
    normals, truth = _world(rng)
    values = truth.predict(normals)
    values[:, :, 3] += 0.2 * rng.normal(size=(STEPS, CAMERAS, 2))
    got = appearance.learn(values, np.ones(values.shape[:3], bool), normals)
    assert np.all(got.deviation[3] > 1.5 * np.delete(got.deviation, 3, 0).max(0))
