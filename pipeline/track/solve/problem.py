"""What the tracker minimises: reprojection of landmarks, priors, smoothness in time."""

import copy
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int

from pipeline.detect.landmarks import LEFT_IRIS, RIGHT_IRIS
from pipeline.track.settings import Priors
from pipeline.track.solve import kernels, rotations
from pipeline.track.solve.kernels import EXPR
from pipeline.track.solve.model import LandmarkModel
from pipeline.track.solve.observations import Observations
from pipeline.track.solve.priors import Evidence, PosePrior, ShapePrior
from pipeline.track.solve.state import CENTRE, EYES, HINGES, ROTATION, Free, Normal, State

CHUNK = 8  # timesteps worked on at once: keeps their points in the cache


class Problem:
    """The cost of a state and its derivatives."""

    def __init__(
        self,
        model: LandmarkModel,
        observations: Observations,
        priors: Priors,
        bounds: Float[np.ndarray, "2 D"],
        blinks: tuple[int, int] | None = None,
        ease: Float[np.ndarray, "E"] | None = None,
        shape_prior: ShapePrior | None = None,
        pose_prior: PosePrior | None = None,
    ) -> None:
        """Set up.

        Args:
            bounds: lowest and highest value of hinges and expression coefficients.
            blinks: which coefficients close the left and the right eye, where the rig has
                them: an iris behind a lid is ignored.
            ease: how freely each blendshape moves, as a factor on the deviations that the
                priors give it; 1 by default.
            shape_prior: what else is known of the shape.
            pose_prior: what else is known of each timestep.
        """
        self.model, self.observations, self.priors = model, observations, priors
        self.bounds, self.blinks = bounds, blinks
        self.ease = np.ones(model.num_expr) if ease is None else ease
        nothing = np.zeros(model.num_shape)
        self.pose_prior = pose_prior
        self.shape_prior = shape_prior or ShapePrior(
            nothing, np.zeros((model.num_shape, model.num_shape)), nothing
        )
        self.evidence: Evidence | None = None
        self.deviation = np.hypot(model.spread, priors.noise)
        self.points = np.nan_to_num(observations.points)
        # In single precision: of long captures these and the points are what memory holds.
        self.confidence: Float[np.ndarray, "T C L"] = np.zeros(self.points.shape[:3], np.float32)
        self.precision = np.zeros(self.points.shape[:3], np.float32)
        self.smooth = _triples(observations)
        pace = np.median(np.diff(observations.time)) * 30 if len(observations) > 1 else 1.0
        self.smooth_precision = self._smooth_precision() / max(pace, 0.1) ** 4

    def at(self, timesteps: Int[np.ndarray, "B"]) -> "Problem":
        """The same problem at some of the timesteps, with weights still to be fixed."""
        return Problem(
            self.model, self.observations.at(timesteps), self.priors, self.bounds, self.blinks,
            self.ease, self.shape_prior, self.pose_prior.at(timesteps) if self.pose_prior else None,
        )  # fmt: skip

    def window(self, start: int, stop: int) -> "Problem":
        """The same problem from one timestep to another, weights and all."""
        other, part = copy.copy(self), slice(start, stop)
        other.observations = self.observations.at(np.arange(start, stop))
        other.points, other.confidence = self.points[part], self.confidence[part]
        other.precision = self.precision[part]
        inside = (self.smooth > start) & (self.smooth < stop - 1)
        other.smooth = self.smooth[inside] - start
        other.pose_prior = self.pose_prior.at(np.arange(start, stop)) if self.pose_prior else None
        if self.evidence is not None:
            hessian, gradient = self.evidence.hessian[part], self.evidence.gradient[part]
            state = self.evidence.state.at(np.arange(start, stop))
            other.evidence = Evidence(state, hessian, gradient)
        return other

    def with_shape_prior(self, shape_prior: ShapePrior) -> "Problem":
        """The same problem with another prior of the shape."""
        return Problem(
            self.model, self.observations, self.priors, self.bounds, self.blinks, self.ease,
            shape_prior, self.pose_prior,
        )  # fmt: skip

    def with_evidence(self, evidence: Evidence) -> "Problem":
        """The same problem, weights and all, with evidence beside the landmarks."""
        other = copy.copy(self)
        other.evidence = evidence
        return other

    def initial(self, rotation: np.ndarray, centre: np.ndarray) -> State:
        """The mean head at rest, in given poses."""
        count, cameras = self.observations.seen.shape
        return State(
            shape=np.zeros(self.model.num_shape),
            zoom=0.0,
            rotation=rotation,
            centre=centre,
            hinges=np.zeros((count, 9)),
            expr=np.zeros((count, self.model.num_expr)),
            bias=np.zeros((cameras, self.model.num_landmarks, 2)),
        )

    # -- projection ---------------------------------------------------------------------------

    def head(self, state: State) -> Float[np.ndarray, "T L 3"]:
        """Landmarks (m) in the head's frame."""
        return self.model.points(state.shape, state.expr, state.hinges).swapaxes(1, 2)

    def in_cameras(self, state: State) -> Float[np.ndarray, "T C L 3"]:
        """Landmarks (m) in the frames of the cameras."""
        return self._seen(state, self.head(state))

    def _seen(self, state: State, head: Float[np.ndarray, "T L 3"]) -> Float[np.ndarray, "T C L 3"]:
        arms = head - self.model.pivot
        world = arms @ state.rotation.swapaxes(1, 2) + state.centre[:, None]
        turns = self.observations.viewmats[:, :3, :3]
        shifts = self.observations.viewmats[:, :3, 3]
        return world[:, None] @ turns.swapaxes(1, 2) + shifts[:, None]

    def project(
        self, state: State, seen: Float[np.ndarray, "T C L 3"]
    ) -> Float[np.ndarray, "T C L 2"]:
        """Pixels of points in the cameras' frames, bias included."""
        focal, middle = self._focal(state)[:, None], self.observations.Ks[:, None, :2, 2]
        return (seen[..., :2] + state.bias) / seen[..., 2:] * focal + middle

    def pixels(self, state: State) -> Float[np.ndarray, "T C L 2"]:
        """Where all cameras see the landmarks at all timesteps: in single precision."""
        result = np.empty_like(self.points, np.float32)
        for part in self.parts():
            piece = state.at(part)
            result[part] = self.project(piece, self.in_cameras(piece))
        return result

    def _focal(self, state: State) -> Float[np.ndarray, "C 2"]:
        return self.observations.Ks[:, [0, 1], [0, 1]] * np.exp(state.zoom)

    # -- weights ------------------------------------------------------------------------------

    def reweight(self, state: State) -> None:
        """Fix each landmark's weight from the present pose, for the solves that follow."""
        self.confidence, self.precision = (
            np.empty_like(self.confidence),
            np.empty_like(self.precision),
        )
        for part in self.parts():
            piece = state.at(part)
            seen = self.in_cameras(piece)
            scale = self._focal(piece)[:, :1] / seen[..., 2]
            self.precision[part] = 1 / (self.deviation * scale) ** 2
            confidence = self.priors.evidence * self._visible(piece, seen)
            confidence *= self.observations.seen[part, :, None]
            if self.observations.covered is not None:
                confidence *= ~self.observations.covered[part]
            self.confidence[part] = confidence * self._open(piece)[:, None]

    def _visible(
        self, state: State, seen: Float[np.ndarray, "T C L 3"]
    ) -> Float[np.ndarray, "T C L"]:
        """0..1: the surface must face the camera, and the head must not be near profile.

        Beyond 50 degrees of yaw the detector guesses: it was measured to add nothing there.
        """
        turns = self.observations.viewmats[None, :, :3, :3] @ state.rotation[:, None]
        towards = -seen / np.linalg.norm(seen, axis=-1, keepdims=True)
        normals = np.einsum("tcij,lj->tcli", turns, self.model.normals)
        facing = _ramp((normals * towards).sum(-1), np.cos(np.radians([80, 55])))
        frontal = (turns[..., 2] * towards.mean(2)).sum(-1)
        # Never quite nothing: where no camera sees the front, a guess is all there is.
        return facing * np.maximum(_ramp(frontal, np.cos(np.radians([60, 40]))), 0.02)[..., None]

    def _open(self, state: State) -> Float[np.ndarray, "T L"]:
        """How far the eye of each iris landmark is open, one for all other landmarks."""
        opened = np.ones((len(state.expr), self.model.num_landmarks))
        if self.blinks is not None:
            for first, blink in ((LEFT_IRIS, self.blinks[0]), (RIGHT_IRIS, self.blinks[1])):
                iris = (self.model.ids >= first) & (self.model.ids < first + 5)
                opened[:, iris] = (1 - np.clip(state.expr[:, blink], 0, 1))[:, None] ** 2
        return opened

    # -- cost and derivatives -----------------------------------------------------------------

    def cost(self, state: State) -> float:
        """Half the weighted squares: data (Geman-McClure), priors, smoothness."""
        total = 0.0
        for part in self.parts():
            piece = state.at(part)
            residual = self.project(piece, self.in_cameras(piece)) - self.points[part]
            square = (residual**2).sum(-1) * self.precision[part]
            total += float(
                (self.confidence[part] * square / (1 + square / self.priors.outlier**2)).sum()
            )
        frame, shared = self._prior_precision()
        values = self._values(state)
        total += float(np.einsum("tp,pq,tq->", values, frame, values))
        total += float((self._shared(state) ** 2 * shared).sum())
        total += float((self.second_differences(state) ** 2 * self.smooth_precision).sum())
        if self.pose_prior is not None:
            off = self._values(state)[:, HINGES.start :] - self.pose_prior.values
            total += float((self.pose_prior.precision * off**2).sum())
        change = state.shape - self.shape_prior.shape
        total += float(
            change @ self.shape_prior.hessian @ change + 2 * self.shape_prior.gradient @ change
        )
        if self.evidence is not None:
            step = self._step(self.evidence.state, state)
            force = (self.evidence.hessian @ step[..., None])[..., 0]
            total += float((step * (force + 2 * self.evidence.gradient)).sum())
        return total / 2 + float((self._sparse() * np.abs(state.expr)).sum())

    def linearise(self, state: State, free: Free) -> Normal:
        """Gauss-Newton's quadratic model in the free unknowns, smoothness left out.

        The cameras of a timestep see the same points, so their information is summed up per
        landmark first (in the head's frame and for the zoom, a fourth direction that only images
        know), and the rig's Jacobian is met by at most four rows of each.
        """
        count, columns, shares = len(state.expr), len(free.frame), len(free.shared)
        normal = Normal(
            np.empty((count, columns, columns)), np.empty((count, columns, shares)),
            np.zeros((shares, shares)), np.empty((count, columns)), np.zeros(shares),
        )  # fmt: skip
        for part in self.parts():
            self._accumulate(state.at(part), part, free, normal)
        self._add_priors(state, free, normal)
        return normal

    def _accumulate(
        self, piece: State, part: Int[np.ndarray, "B"], free: Free, normal: Normal
    ) -> None:
        head = self.head(piece)
        information, pull = self._information(piece, part, self._seen(piece, head))
        last = EXPR + self.model.num_expr
        moves = last if free.frame[-1] >= HINGES.start else HINGES.start
        columns = last + self.model.num_shape + 1 if len(free.shared) else moves
        wanted = np.concatenate([free.frame, last + free.shared])
        inner, outer = slice(0, len(free.frame)), slice(len(free.frame), None)
        rows = self.model.pull_back(
            information, pull, head - self.model.pivot, piece.rotation, piece.shape, piece.expr,
            piece.hinges, columns,
        )  # fmt: skip
        for t, (matrix, right) in zip(part, rows, strict=True):
            hessian = (matrix.T @ matrix)[np.ix_(wanted, wanted)]
            gradient = (right @ matrix)[wanted]
            normal.frame[t], normal.cross[t] = hessian[inner, inner], hessian[inner, outer]
            normal.shared += hessian[outer, outer]
            normal.frame_gradient[t] = gradient[inner]
            normal.shared_gradient += gradient[outer]

    def _information(
        self,
        piece: State,
        part: Int[np.ndarray, "B"],
        seen: Float[np.ndarray, "B C L 3"],
    ) -> tuple[Float[np.ndarray, "B L 4 4"], Float[np.ndarray, "B L 4"]]:
        """`sum_c J^T w J` and `sum_c J^T w r`, J the pixel's derivative by point and zoom."""
        residual = self.project(piece, seen) - self.points[part]
        square = (residual**2).sum(-1) * self.precision[part]
        robust = 1 / (1 + square / self.priors.outlier**2) ** 2
        weight = self.confidence[part] * self.precision[part] * robust
        jacobian = self._pixel_jacobian(piece, seen)
        return kernels.information(jacobian, np.repeat(weight[..., None], 2, -1), residual)

    def _pixel_jacobian(
        self, piece: State, seen: Float[np.ndarray, "B C L 3"]
    ) -> Float[np.ndarray, "B C L 2 4"]:
        """Derivatives of pixels by the point in the head's frame and by the zoom."""
        biased = seen.copy()
        biased[..., :2] += piece.bias
        turns = self.observations.viewmats[None, :, :3, :3] @ piece.rotation[:, None]
        return kernels.pixel_jacobian(biased, turns, self._focal(piece))

    # -- priors and smoothness ----------------------------------------------------------------

    def _prior_precision(self) -> tuple[Float[np.ndarray, "P0 P0"], Float[np.ndarray, "Q0"]]:
        priors, exprs = self.priors, self.model.num_expr
        deviations = np.repeat(
            [np.inf, np.inf, priors.jaw, priors.gaze, priors.expr], [3, 3, 3, 6, exprs]
        )
        deviations[EXPR:] *= self.ease
        frame = np.diag(deviations**-2.0)
        for axis in range(3):
            left, right = EYES.start + axis, EYES.start + 3 + axis
            frame[np.ix_([left, right], [left, right])] += (
                np.array([[1, -1], [-1, 1]]) / priors.vergence**2
            )
        shared = np.append(np.full(self.model.num_shape, priors.shape), priors.focal) ** -2.0
        return frame, shared

    def _add_priors(self, state: State, free: Free, normal: Normal) -> None:
        frame, shared = self._prior_precision()
        normal.frame += frame[np.ix_(free.frame, free.frame)]
        gradient = self._values(state) @ frame
        gradient[:, EXPR:] += self._sparse() * np.sign(state.expr)
        if self.evidence is not None:
            step = self._step(self.evidence.state, state)
            normal.frame += self.evidence.hessian[:, free.frame[:, None], free.frame]
            gradient += self.evidence.gradient
            gradient += (self.evidence.hessian @ step[..., None])[..., 0]
        if self.pose_prior is not None:
            certain = np.zeros_like(gradient)
            certain[:, HINGES.start :] = self.pose_prior.precision
            gradient[:, HINGES.start :] += self.pose_prior.precision * (
                self._values(state)[:, HINGES.start :] - self.pose_prior.values
            )
            columns = np.arange(len(free.frame))
            normal.frame[:, columns, columns] += certain[:, free.frame]
        normal.frame_gradient += gradient[:, free.frame]
        shape_prior, full = self.shape_prior, np.diag(shared)
        full[:-1, :-1] += shape_prior.hessian
        pull = self._shared(state) * shared
        pull[:-1] += shape_prior.hessian @ (state.shape - shape_prior.shape) + shape_prior.gradient
        normal.shared += full[np.ix_(free.shared, free.shared)]
        normal.shared_gradient += pull[free.shared]

    def _sparse(self) -> Float[np.ndarray, "E"]:
        """Cost per unit of each action; directions of either sign have none."""
        return np.where(self.bounds[0, 9:] < 0, 0.0, self.priors.sparse)

    def _smooth_precision(self) -> Float[np.ndarray, "P0"]:
        priors = self.priors
        deviations = (priors.turn, priors.shift, priors.swing, priors.glance, priors.action)
        spread = np.repeat(deviations, [3, 3, 3, 6, self.model.num_expr])
        spread[EXPR:] *= self.ease
        return spread**-2.0

    def second_differences(self, state: State) -> Float[np.ndarray, "K P0"]:
        """How much each unknown's pace changes at the middle of three frames in a row."""
        before, here, after = self.smooth - 1, self.smooth, self.smooth + 1
        values = self._values(state)
        change = values[before] - 2 * values[here] + values[after]
        turn = state.rotation.swapaxes(1, 2)
        change[:, ROTATION] = rotations.log(turn[here] @ state.rotation[after]) - rotations.log(
            turn[before] @ state.rotation[here]
        )
        return change

    def _values(self, state: State) -> Float[np.ndarray, "T P0"]:
        """A timestep's unknowns side by side; a rotation has no value, only changes."""
        turn = np.zeros((len(state.expr), 3))
        return np.concatenate([turn, state.centre, state.hinges, state.expr], 1)

    def _step(self, before: State, after: State) -> Float[np.ndarray, "T P0"]:
        """The step of the timesteps' unknowns that leads from one state to another."""
        step = self._values(after) - self._values(before)
        step[:, ROTATION] = rotations.log(before.rotation.swapaxes(1, 2) @ after.rotation)
        return step

    def _shared(self, state: State) -> Float[np.ndarray, "Q0"]:
        return np.append(state.shape, state.zoom)

    # -- steps --------------------------------------------------------------------------------

    def moved(
        self, state: State, free: Free, frame: Float[np.ndarray, "T P"], shared: np.ndarray
    ) -> State:
        """The state after a step, bounded unknowns held within their bounds."""
        step = np.zeros((len(state.expr), EXPR + self.model.num_expr))
        step[:, free.frame] = frame
        common = np.zeros(self.model.num_shape + 1)
        common[free.shared] = shared
        bounded = np.concatenate([state.hinges, state.expr], 1) + step[:, HINGES.start :]
        bounded = np.clip(bounded, *self.bounds)
        return replace(
            state,
            shape=state.shape + common[:-1],
            zoom=state.zoom + float(common[-1]),
            rotation=state.rotation @ rotations.exp(step[:, ROTATION]),
            centre=state.centre + step[:, CENTRE],
            hinges=bounded[:, :9],
            expr=bounded[:, 9:],
        )

    def room(self, state: State, free: Free) -> Float[np.ndarray, "2 T P"]:
        """How far each free unknown may go down and up before it meets a bound."""
        limits = np.full((2, EXPR + self.model.num_expr), [[-np.inf], [np.inf]])
        limits[:, HINGES.start :] = self.bounds
        return limits[:, None, free.frame] - self._values(state)[:, free.frame]

    def parts(self) -> list[Int[np.ndarray, "B"]]:
        """Timesteps in portions that are worked on at once."""
        return parts(len(self.observations))


def parts(count: int) -> list[Int[np.ndarray, "B"]]:
    """So many timesteps in portions that are worked on at once."""
    return [np.arange(i, min(i + CHUNK, count)) for i in range(0, count, CHUNK)]


def _ramp(value: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """0 below the first edge, 1 above the second, smooth between."""
    share = np.clip((value - edges[0]) / (edges[1] - edges[0]), 0, 1)
    return share * share * (3 - 2 * share)


def _triples(observations: Observations) -> Int[np.ndarray, "K"]:
    """Middles of three timesteps in a row: one sequence, no gap in time."""
    time, clip = observations.time, observations.clip
    if len(time) < 3:
        return np.zeros(0, int)
    step = np.diff(time)
    near = (clip[1:] == clip[:-1]) & (step < 1.5 * np.median(step)) & (step > 0)
    return np.flatnonzero(near[:-1] & near[1:]) + 1
