"""Colours of points of the skin, learnt from tracked frames: albedo, light and cameras' gains."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

FLOOR = (0.02, 0.01)  # least deviation of log brightness and of log red to green
ROUNDS = 5  # of reweighting
SWEEPS = 2  # over albedo, gains and light in each
LEAST = 4  # samples at a point below which its colour is ignored
STIFF = 1e-3  # prior precision of the light's coefficients, per sample


@dataclass(frozen=True)
class Appearance:
    """Colours of N points in C cameras in D channels, logarithms all.

    A sample of a point with normal n is `albedo + harmonics(n) @ light + gain`: reflected light is
    albedo times what falls on the surface, and that is a smooth function of the normal (Ramamoorthi
    and Hanrahan 2001), here of the world's, where lamps stand still.

    Attributes:
        albedo [N,D]; light [8,D]; gain [C,D].
        deviation [N,D]: of samples from that, without outliers; infinite for a point seen too
            rarely.
    """

    albedo: Float[np.ndarray, "N D"]
    light: Float[np.ndarray, "8 D"]
    gain: Float[np.ndarray, "C D"]
    deviation: Float[np.ndarray, "N D"]

    def predict(self, normals: Float[np.ndarray, "T N 3"]) -> Float[np.ndarray, "T C N D"]:
        """What the cameras should see at points with these normals (unit, world)."""
        lit = self.albedo + harmonics(normals) @ self.light
        return (lit[:, None] + self.gain[:, None]).astype(np.float32)


def harmonics(normals: Float[np.ndarray, "*B 3"]) -> Float[np.ndarray, "*B 8"]:
    """Spherical harmonics of degrees one and two, unnormalised; the constant is the albedo's."""
    x, y, z = np.moveaxis(normals, -1, 0)
    return np.stack([x, y, z, x * y, y * z, x * z, x * x - y * y, 3 * z * z - 1], -1)


def learn(
    values: Float[np.ndarray, "T C N D"],
    visible: Bool[np.ndarray, "T C N"],
    normals: Float[np.ndarray, "T N 3"],
) -> Appearance:
    """Robust least squares (Geman-McClure, by reweighting), one unknown group after the other.

    Args:
        values: logarithms of the channels where the points were seen.
        visible: which samples count.
        normals: unit, world.
    """
    basis = harmonics(normals).astype(np.float32)
    parts = [
        _learn_channel(values[..., d], visible, basis, FLOOR[d]) for d in range(values.shape[-1])
    ]
    return Appearance(*(np.stack(part, -1) for part in zip(*parts, strict=True)))


def _learn_channel(
    values: Float[np.ndarray, "T C N"],
    visible: Bool[np.ndarray, "T C N"],
    basis: Float[np.ndarray, "T N 8"],
    floor: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    weight = visible.astype(np.float32)
    gain, light = np.zeros(values.shape[1], np.float32), np.zeros(8, np.float32)
    for _ in range(ROUNDS):
        by_point, by_camera = weight.sum((0, 1)) + 1e-6, weight.sum((0, 2)) + 1e-6
        once = weight.sum(1)
        middle = np.einsum("tn,tnk->nk", once, basis) / by_point[:, None]
        centred = basis - middle  # the albedo takes up what is the same in all samples at a point
        stiff = STIFF * once.sum() * np.eye(8)
        system = np.einsum("tn,tnk,tnl->kl", once, centred, centred, optimize=True) + stiff
        for _ in range(SWEEPS):
            rest = values - gain[:, None]
            mean = (weight * rest).sum((0, 1)) / by_point
            pull = np.einsum("tn,tnk->k", (weight * (rest - mean)).sum(1), centred)
            light = np.linalg.solve(system, pull).astype(np.float32)
            lit = (basis @ light)[:, None]
            albedo = (weight * (rest - lit)).sum((0, 1)) / by_point
            gain = (weight * (values - lit - albedo)).sum((0, 2)) / by_camera
            gain -= gain.mean()  # its mean is the albedo's
        residual = values - lit - albedo - gain[:, None]
        scale = max(3 * float(np.median(np.abs(residual[visible]))), 2 * floor)
        weight = visible / (1 + (residual / scale) ** 2) ** 2
    deviation = np.sqrt((weight * residual**2).sum((0, 1)) / by_point + floor**2)
    return albedo, light, gain, np.where(visible.sum((0, 1)) < LEAST, np.inf, deviation)
