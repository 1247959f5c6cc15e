"""Is K that of the stored images? Landmarks seen by several calibrated cameras tell.

K of another image size, or a focal length that is too long, bends the rays through the detected
landmarks. A factor on K is sought that makes the rays through one landmark meet, and gives the
triangulated face the proportions and about the size of the rig's mean one. The extrinsics stay as
they are. Where all cameras stand around the head, one factor on every focal length changes little
but the size of what is triangulated, as another unit of length does: no usual unit is within
`FACTORS`, so that K is named.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from avatar.base.errors import UserError
from pipeline.track.evidence.calibration_check import moments
from pipeline.track.evidence.side_views import NEAR_FRONT, near_front
from pipeline.track.solve import initial
from pipeline.track.solve.initial import Poses
from pipeline.track.solve.model import LandmarkModel
from pipeline.track.solve.observations import Observations

LANDMARKS, MOMENTS = 20, 10  # evenly spread, for the search of a factor that all cameras share
ROUND = 75.0  # degrees: poses that a factor may explain; those near the front place landmarks
FACTORS = np.exp(np.linspace(-1, 1, 21))  # tried on K; those at either end are never the answer
FINE = np.exp(np.linspace(-0.08, 0.08, 9))  # and about the best of them
WORTH = 1.12  # a smaller factor is within what detected landmarks and heads allow
SIZE = 0.25  # deviation of the logarithm of a head's size: wide, children have heads, too
LARGEST = 1.33  # factor on the mean head's size that no head exceeds
SPREAD = 1.12  # of the sizes of heads, in the message
NOISE, ODD = 0.015, 1.8  # a camera whose residual is above, and above so many medians, is odd
NOTHING = 100.0  # cost of a factor that leaves residuals that noise and another head do not explain
FLOOR = (0.005, 0.02)  # of the two residuals: noise of landmarks, and another face than the mean
ONE_AXIS = 0.1  # cost of a factor on one axis only: pixels are mostly square, faces differ
MEET, PROPORTION = 0.03, 0.15  # residuals, of a face's size, above which nothing is explained
WARN, CERTAIN = 0.4, 0.75  # what a factor must lower the logarithm of the residuals by
CERTAIN_OF_ALL = 1.5  # the same of all cameras: a long face or a large head gains up to 0.9
ROUNDED = 0.15  # of the same: by how much a factor of 2 or 1/2 may be worse than the best


class Family(NamedTuple):
    """Entries of K that one mistake multiplies, and how many: fx, fy, cx, cy."""

    entries: str
    power: tuple[int, int, int, int]


FAMILIES = (
    Family("fx and fy", (1, 1, 0, 0)),
    Family("fx, fy, cx and cy", (1, 1, 1, 1)),
    Family("fx", (1, 0, 0, 0)),
    Family("fy", (0, 1, 0, 0)),
    Family("fx and cx", (1, 0, 1, 0)),
    Family("fy and cy", (0, 1, 0, 1)),
)


@dataclass(frozen=True)
class Mistake:
    """A factor on K that explains the landmarks.

    Attributes:
        cameras: whose K, empty: of all.
        family: which entries; factor: how many times too large they are.
        gain: by how much the logarithm of the residuals falls without the factor.
    """

    cameras: tuple[int, ...]
    family: Family
    factor: float
    gain: float

    def describe(self, names: list[str]) -> str:
        """One sentence; `names` of all cameras."""
        which = "all cameras"
        if self.cameras:
            listing = ", ".join(names[camera] for camera in self.cameras)
            which = f"camera{'s' if len(self.cameras) > 1 else ''} {listing}"
        spread = ""
        if not self.cameras:
            low, high = self.factor / SPREAD, self.factor * SPREAD
            spread = f" ({low:.2g} to {high:.2g}, as heads differ in size)"
        verb = "are" if sum(self.family.power) > 1 else "is"
        return (
            f"cameras.json: K of {which}: {self.family.entries} {verb} about "
            f"{self.factor:.2g} times what the landmarks show{spread}: give K in pixels of the "
            "video's own size"
        )


@dataclass(frozen=True)
class Rays:
    """Landmarks of some moments in C cameras, and the matrices of these.

    Attributes:
        points [T,C,L,2] px, zero where not seen; seen [T,C].
        rest [L,3]: the mean head's, m; origin [C,2]: where the source's pixel (0, 0) is stored.
    """

    points: Float[np.ndarray, "T C L 2"]
    seen: Bool[np.ndarray, "T C"]
    rest: Float[np.ndarray, "L 3"]
    Ks: Float[np.ndarray, "C 3 3"]
    viewmats: Float[np.ndarray, "C 4 4"]
    origin: Float[np.ndarray, "C 2"]

    @property
    def extent(self) -> Float[np.ndarray, "T C 1"]:
        """Size of the face in each image, px."""
        return np.maximum(np.ptp(self.points, axis=2).max(-1), 1)[..., None]

    def of(self, at: Int[np.ndarray, "B"], camera: int | None = None) -> "Rays":
        """Those of all cameras or one at some of the moments."""
        one = slice(None) if camera is None else slice(camera, camera + 1)
        return Rays(
            self.points[at, one], self.seen[at, one], self.rest, self.Ks[one],
            self.viewmats[one], self.origin[one],
        )  # fmt: skip

    def corrected(
        self, family: Family, factor: float, cameras: Sequence[int] | Int[np.ndarray, "K"]
    ) -> Float[np.ndarray, "C 3 3"]:
        """K of all cameras, that of some with the factor taken out."""
        result = self.Ks.copy()
        by = factor ** -np.array(family.power, float)
        cameras = np.asarray(cameras)
        rows = cameras[:, None]
        result[rows, [0, 1], [0, 1]] *= by[:2]
        away = self.origin[cameras]
        result[rows, [0, 1], [2, 2]] = (result[rows, [0, 1], [2, 2]] - away) * by[2:] + away
        return result


def check(
    model: LandmarkModel,
    observed: Observations,
    names: list[str],
    origin: Float[np.ndarray, "C 2"],
) -> list[str]:
    """Look for a factor on K of some calibrated cameras, or of all.

    Args:
        origin: where the source's pixel (0, 0) is in the stored frames.
    Returns:
        A sentence where one is likely.
    Raises:
        UserError: one is certain.
    """
    poses = initial.poses_by_camera(model, observed.at(moments(observed)))
    mistake = find(poses, observed.Ks, observed.viewmats, origin)
    if mistake is None:
        return []
    if mistake.gain > (CERTAIN if mistake.cameras else CERTAIN_OF_ALL):
        raise UserError(mistake.describe(names))
    return [mistake.describe(names)]


def find(
    poses: Poses,
    Ks: Float[np.ndarray, "C 3 3"],
    viewmats: Float[np.ndarray, "C 4 4"],
    origin: Float[np.ndarray, "C 2"],
) -> Mistake | None:
    """The factor on K of all cameras, or of some, that explains the landmarks best.

    Returns:
        None where none lowers the residuals by `WARN`.
    """
    front, around = near_front(poses, NEAR_FRONT), near_front(poses, ROUND)
    together = np.flatnonzero(front.found.sum(1) >= 2)
    if not len(together):
        return None
    few = together[_spread(len(together), MOMENTS)]
    sample = _rays(front, few, Ks, viewmats, origin)
    measured = np.flatnonzero(front.found[few].any(0))
    common = _common(sample, measured, ())
    if len(measured) == 2:
        found = [common, *(_common(sample, measured[[i]], (int(measured[i]),)) for i in (0, 1))]
        return max((m for m in found if m), key=lambda mistake: mistake.gain, default=None)
    some = _some(_rays(around, np.arange(len(around.found)), Ks, viewmats, origin), front.found)
    if some is None or (common and len(some.cameras) > len(measured) / 2):
        return common
    corrected = sample.corrected(some.family, some.factor, some.cameras)
    gain = _misfit(sample, sample.Ks).total - _misfit(sample, corrected).total
    return common if common and common.gain > max(gain, some.gain) else some


def _rays(
    poses: Poses,
    at: Int[np.ndarray, "B"],
    Ks: Float[np.ndarray, "C 3 3"],
    viewmats: Float[np.ndarray, "C 4 4"],
    origin: Float[np.ndarray, "C 2"],
) -> Rays:
    chosen = _spread(len(poses.rest), LANDMARKS)
    return Rays(
        np.nan_to_num(poses.points[at][:, :, chosen]), poses.found[at], poses.rest[chosen],
        Ks, viewmats, origin,
    )  # fmt: skip


def _spread(count: int, most: int) -> Int[np.ndarray, "K"]:
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(int))


def _common(rays: Rays, cameras: Int[np.ndarray, "K"], named: tuple[int, ...]) -> Mistake | None:
    """One factor on K of these cameras: by where rays meet, proportions and size of the head."""
    given, best = _misfit(rays, rays.Ks), None
    for family in FAMILIES:

        def cost(factor: float, family: Family = family) -> float:
            misfit = _misfit(rays, rays.corrected(family, factor, cameras))
            cost = ONE_AXIS * (family.power[0] != family.power[1])
            return misfit.total + cost + (0 if misfit.explains else NOTHING)

        best = _better(best, named, family, cost, given.total)
    return best


def _better(
    best: Mistake | None,
    named: tuple[int, ...],
    family: Family,
    cost: Callable[[float], float],
    given: float,
) -> Mistake | None:
    """The best mistake so far, or one of this family; `given` is the cost as it is."""
    coarse = min(FACTORS, key=cost)
    fine = min(coarse * FINE, key=cost)
    factor = min((0.5, 2.0, fine), key=lambda f: cost(f) - ROUNDED * (f in (0.5, 2.0)))
    gain = given - cost(factor)
    inside = FACTORS[0] < coarse < FACTORS[-1] and max(factor, 1 / factor) > WORTH
    if inside and gain > (best.gain if best else WARN):
        return Mistake(named, family, float(factor), gain)
    return best


def _some(rays: Rays, front: Bool[np.ndarray, "T C"]) -> Mistake | None:
    """A factor on K of some of three cameras or more, by what the others triangulate.

    Args:
        front: which of the poses may triangulate landmarks.
    """
    good = front & _agreeing(rays, front)
    apart = {c: _alone_residual(rays, good, c) for c in np.flatnonzero(rays.seen.any(0)).tolist()}
    levels = [apart[c] for c in np.flatnonzero(good.any(0)).tolist() if np.isfinite(apart[c])]
    level = float(np.median(levels)) if levels else 0.0
    odd = [c for c, residual in apart.items() if residual > max(NOISE, ODD * level)]
    good[:, odd] = False
    found = [trial for c in odd if (trial := _alone(rays, good, c)) is not None]
    if not found:
        return None
    best = max(found, key=lambda mistake: mistake.gain)
    alike = [mistake for mistake in found if mistake.family == best.family]
    factor = float(np.median([mistake.factor for mistake in alike]))
    return Mistake(tuple(m.cameras[0] for m in alike), best.family, factor, best.gain)


def _agreeing(rays: Rays, front: Bool[np.ndarray, "T C"]) -> Bool[np.ndarray, "C"]:
    """The cameras that see the landmarks where two of them triangulate these.

    Of all pairs the one whose landmarks all cameras see best, none counting as worse than `MEET`:
    so neither many that just agree nor a few that do not decide (MSAC: Torr and Zisserman, 2000).
    """
    best, least = np.zeros(front.shape[1], bool), np.inf
    for first, second in itertools.combinations(np.flatnonzero(front.any(0)).tolist(), 2):
        pair = np.zeros_like(front)
        pair[:, [first, second]] = front[:, [first, second]]
        at = np.flatnonzero(pair.sum(1) == 2)[::4]
        if not len(at):
            continue
        world = triangulate(rays.points[at], pair[at], rays.Ks, rays.viewmats)
        off = np.where(front[at], np.median(_residual(rays.of(at), world, rays.Ks), 2), np.inf)
        # The median over the moments at which a camera sees the face.
        place = np.maximum(front[at].sum(0) - 1, 0) // 2
        apart = np.sort(off, 0)[place, np.arange(off.shape[1])]
        if (cost := np.minimum(apart, MEET).sum()) < least:
            best, least = apart < MEET, cost
    return best


def _alone_residual(rays: Rays, good: Bool[np.ndarray, "T C"], camera: int) -> float:
    """Median residual of one camera against what others triangulate; NaN where they cannot."""
    at, world = _by_others(rays, good, camera)
    one = rays.of(at, camera)
    return float(np.median(_residual(one, world, one.Ks))) if len(at) else np.nan


def _by_others(
    rays: Rays, good: Bool[np.ndarray, "T C"], camera: int
) -> tuple[Int[np.ndarray, "B"], Float[np.ndarray, "B L 3"]]:
    """Landmarks as other cameras triangulate them, at the moments at which one sees them."""
    others = good.copy()
    others[:, camera] = False
    at = np.flatnonzero((others.sum(1) >= 2) & rays.seen[:, camera])
    return at, triangulate(rays.points[at], others[at], rays.Ks, rays.viewmats)


def _alone(rays: Rays, good: Bool[np.ndarray, "T C"], camera: int) -> Mistake | None:
    """A factor on K of one camera: by what other cameras triangulate."""
    at, world = _by_others(rays, good, camera)
    if not len(at):
        return None
    one, best = rays.of(at, camera), None
    given = float(np.median(_residual(one, world, one.Ks)))
    for family in FAMILIES:

        def cost(factor: float, family: Family = family) -> float:
            K = one.corrected(family, factor, (0,))
            residual = float(np.median(_residual(one, world, K)))
            return float(np.log(residual + 1e-6)) + (NOTHING if residual > MEET else 0)

        best = _better(best, (camera,), family, cost, float(np.log(given + 1e-6)))
    return best


class Misfit(NamedTuple):
    """How far landmarks are from where they should be under one K.

    Attributes:
        meeting: median residual of triangulated points, of the face's size in the image.
        proportion: the same of the rig's mean face, laid over the triangulated one.
        size: of the triangulated face, the mean head's being 1.
    """

    meeting: float
    proportion: float
    size: float

    @property
    def total(self) -> float:
        """Logarithm of the residuals, and the prior of the head's size."""
        noise, identity = FLOOR
        residual = np.log(np.hypot(self.meeting, noise) * np.hypot(self.proportion, identity))
        return float(residual + (np.log(self.size) / SIZE) ** 2)

    @property
    def explains(self) -> bool:
        """Whether what is left may be noise and another head."""
        human = 1 / LARGEST < self.size < LARGEST
        return human and self.meeting < MEET and self.proportion < PROPORTION


def _misfit(rays: Rays, Ks: Float[np.ndarray, "C 3 3"]) -> Misfit:
    world = triangulate(rays.points, rays.seen, Ks, rays.viewmats)
    meeting = float(np.median(_residual(rays, world, Ks)[rays.seen]))
    rest = rays.rest - rays.rest.mean(0)
    centred = world - world.mean(1, keepdims=True)
    # The similarity that brings the mean face nearest (Umeyama 1991).
    u, spread, vt = np.linalg.svd(np.einsum("tli,lj->tij", centred, rest))
    sign = np.ones((len(world), 3))
    sign[:, 2] = np.linalg.det(u @ vt)
    scale = (spread * sign).sum(1) / (rest**2).sum()
    turned = rest @ ((u * sign[:, None]) @ vt).swapaxes(1, 2)
    fitted = scale[:, None, None] * turned + world.mean(1, keepdims=True)
    proportion = float(np.median(_residual(rays, fitted, Ks)[rays.seen]))
    size = float(np.median(scale))
    return Misfit(meeting, proportion, max(size, 1e-9))


def _residual(
    rays: Rays, world: Float[np.ndarray, "B L 3"], Ks: Float[np.ndarray, "C 3 3"]
) -> Float[np.ndarray, "B C L"]:
    """Distance of points' pixels from the detected ones, of the face's size."""
    turns, shifts = rays.viewmats[:, :3, :3], rays.viewmats[:, None, :3, 3]
    inside = world[:, None] @ turns.swapaxes(1, 2) + shifts
    depth = np.where(np.abs(inside[..., 2:]) > 1e-9, inside[..., 2:], 1e-9)
    pixels = inside[..., :2] / depth * Ks[:, None, [0, 1], [0, 1]] + Ks[:, None, :2, 2]
    return np.linalg.norm(pixels - rays.points, axis=-1) / rays.extent


def triangulate(
    points: Float[np.ndarray, "T C L 2"],
    seen: Bool[np.ndarray, "T C"],
    Ks: Float[np.ndarray, "C 3 3"],
    viewmats: Float[np.ndarray, "C 4 4"],
) -> Float[np.ndarray, "T L 3"]:
    """The points with the least squared distance from the rays of the cameras that see them."""
    flat = (points - Ks[:, None, :2, 2]) / Ks[:, None, [0, 1], [0, 1]]
    rays = np.concatenate([flat, np.ones_like(flat[..., :1])], -1) @ viewmats[:, :3, :3]
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    places = -(viewmats[:, :3, :3].swapaxes(1, 2) @ viewmats[:, :3, 3:])[..., 0]
    across = (np.eye(3) - rays[..., :, None] * rays[..., None, :]) * seen[..., None, None, None]
    right = (across @ places[:, None, :, None])[..., 0].sum(1)
    return np.linalg.solve(across.sum(1) + 1e-9 * np.eye(3), right[..., None])[..., 0]
