"""Motion of the demo's person: keyframes of expressions, gaze and head over each sequence."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.interpolate import PchipInterpolator

from avatar.rig import HeadRig, RigParams, arkit
from avatar.rig.controls import CONTROLS

FPS = 25.0
# Times run from 0 to 1 over a sequence. An expression is a list of (time, strength), a pose a
# list of (time, degrees); a name without Left or Right stands for both sides.
Track = list[tuple[float, float]]


def _pulses(*peaks: tuple[float, float, float]) -> Track:
    """Rises from 0 and back: (time, strength, half width) of each, in order."""
    track: Track = [(0.0, 0.0)]
    for time, strength, width in peaks:
        track += [(time - width, 0.0), (time, strength), (time + width, 0.0)]
    return [*track, (1.0, 0.0)]


SEQUENCES: dict[str, dict[str, Track]] = {
    # Training: each action alone and combined with others, the head over its whole range.
    "a_talk": {
        "eyeBlink": _pulses((0.14, 1.0, 0.05), (0.46, 1.0, 0.05), (0.83, 1.0, 0.055)),
        "jawOpen": _pulses(
            (0.06, 0.24, 0.03), (0.13, 0.38, 0.035), (0.21, 0.20, 0.03), (0.28, 0.45, 0.035),
            (0.36, 0.15, 0.03), (0.55, 0.85, 0.07), (0.93, 0.30, 0.04),
        ),
        "mouthPucker": _pulses((0.21, 0.45, 0.04), (0.40, 0.85, 0.06), (0.96, 0.35, 0.03)),
        "mouthFunnel": _pulses((0.13, 0.30, 0.04), (0.34, 0.35, 0.04)),
        "mouthUpperUp": _pulses((0.06, 0.35, 0.04), (0.28, 0.45, 0.05), (0.90, 0.35, 0.04)),
        "mouthLowerDown": _pulses((0.28, 0.5, 0.05), (0.90, 0.45, 0.04)),
        "mouthClose": _pulses((0.55, 0.06, 0.07)),
        "mouthSmile": _pulses((0.75, 0.85, 0.11)),
        "eyeSquint": _pulses((0.75, 0.5, 0.10)),
        "cheekSquint": _pulses((0.75, 0.4, 0.10)),
        "browInnerUp": _pulses((0.24, 0.35, 0.06), (0.55, 0.85, 0.09)),
        "browOuterUp": _pulses((0.55, 0.75, 0.09)),
        "browDown": _pulses((0.38, 0.45, 0.07), (0.93, 0.30, 0.05)),
        "gaze_side": [(0, 0), (0.10, -6), (0.30, 14), (0.44, 12), (0.50, -14), (0.66, -10), (1, 4)],
        "gaze_down": [(0, 0), (0.22, 7), (0.34, -5), (0.55, -4), (0.70, 8), (0.80, 0), (1, 0)],
        "yaw": [(0, 0), (0.20, 15), (0.42, 3), (0.60, -15), (0.80, -6), (1, 8)],
        "pitch": [(0, 2), (0.15, -5), (0.35, 7), (0.55, -7), (0.75, 4), (1, 0)],
        "roll": [(0, 0), (0.25, 4), (0.50, -4), (0.75, 3), (1, -1)],
        "neck_yaw": [(0, 0), (0.30, 3), (0.65, -4), (1, 1)],
        "neck_pitch": [(0, 0), (0.40, 3), (0.70, -2), (1, 0)],
    },
    # Held out: other expressions (one-sided smile, sneer, frown, stretch, wink), other timing.
    "b_faces": {
        "eyeBlink": _pulses((0.30, 1.0, 0.05), (0.68, 1.0, 0.05)),
        "eyeBlinkLeft": _pulses((0.50, 0.9, 0.06)),
        "jawOpen": _pulses(
            (0.05, 0.30, 0.03), (0.12, 0.18, 0.03), (0.19, 0.36, 0.04), (0.38, 0.55, 0.06),
            (0.86, 0.30, 0.04), (0.94, 0.22, 0.03),
        ),
        "mouthSmileLeft": _pulses((0.50, 0.85, 0.09)),
        "mouthPucker": _pulses((0.12, 0.40, 0.04), (0.91, 0.30, 0.04)),
        "mouthFunnel": _pulses((0.38, 0.65, 0.07)),
        "mouthFrown": _pulses((0.64, 0.7, 0.08)),
        "mouthStretch": _pulses((0.77, 0.6, 0.06)),
        "mouthLeft": _pulses((0.27, 0.5, 0.05)),
        "noseSneer": _pulses((0.64, 0.5, 0.08)),
        "browDown": _pulses((0.64, 0.8, 0.10)),
        "browOuterUpRight": _pulses((0.50, 0.7, 0.08)),
        "browInnerUp": _pulses((0.14, 0.4, 0.07), (0.84, 0.6, 0.08)),
        "gaze_side": [(0, 3), (0.16, 10), (0.34, -12), (0.55, 0), (0.75, 9), (1, -4)],
        "gaze_down": [(0, 0), (0.20, -5), (0.45, 6), (0.60, 0), (0.90, 4), (1, 0)],
        "yaw": [(0, 5), (0.20, -10), (0.45, 9), (0.70, 12), (0.88, -7), (1, -3)],
        "pitch": [(0, 0), (0.30, 5), (0.55, -5), (0.80, 3), (1, 1)],
        "roll": [(0, -1), (0.35, -3), (0.65, 4), (1, 0)],
        "neck_yaw": [(0, 1), (0.35, -3), (0.70, 3), (1, 0)],
        "neck_pitch": [(0, 0), (0.50, -2), (0.80, 3), (1, 1)],
    },
}  # fmt: skip
POSES = (
    *("gaze_side", "gaze_down", "yaw", "pitch", "roll"), *("neck_yaw", "neck_pitch", "neck_roll")
)  # fmt: skip
SWAY = 0.003  # m


@dataclass(frozen=True)
class Script:
    """What a capture's person does.

    Attributes:
        sequences: keyframes by sequence and name; a pose that is left out stays 0. `yaw`, `pitch`
            and `roll` turn the whole person, those of the neck the head against the torso.
        sway: how far the whole person moves to and fro, m.
    """

    sequences: dict[str, dict[str, Track]]
    sway: float


DEMO = Script(SEQUENCES, SWAY)
# The face at rest: lids a little lower than MakeHuman's, a hint of a smile.
AT_REST = {
    "eyeBlinkLeft": 0.12, "eyeBlinkRight": 0.12, "mouthSmileLeft": 0.06, "mouthSmileRight": 0.06
}  # fmt: skip


def perform(tracker: HeadRig, timesteps: int, script: Script = DEMO) -> RigParams:
    """All sequences as parameters of the tracker's rig; shape and static offset are 0.

    Args:
        tracker: its expressions are ARKit's, as those of `anny`.
        timesteps: of each sequence; fewer frames show the same motion faster.
    """
    names = sorted(script.sequences)
    parts = [_perform(script.sequences[name], script.sway, timesteps) for name in names]
    joined = {key: torch.cat([part[key] for part in parts]) for key in parts[0]}
    steps = np.tile(np.arange(timesteps), len(parts))
    return RigParams(
        shape=torch.zeros(tracker.num_shape),
        static_offset=torch.zeros(tracker.num_verts, 3),
        **joined,
        soft_offset=torch.zeros(len(steps), 3 * CONTROLS),
        sequence=np.repeat(names, timesteps),
        index=steps,
        time=steps / FPS,
        valid=np.ones(len(steps), bool),
        rig=tracker.name,
        rig_sha256=tracker.sha256,
    )


def _perform(
    keyframes: dict[str, Track], reach: float, timesteps: int
) -> dict[str, Float[torch.Tensor, "T _"]]:
    times = np.linspace(0, 1, timesteps) if timesteps > 1 else np.zeros(1)
    tracks = {name: _curve(track, times) for name, track in keyframes.items()}
    poses = {name: np.radians(tracks.pop(name, 0 * times)) for name in POSES}
    strengths: dict[str, np.ndarray] = {name: 0 * times + rest for name, rest in AT_REST.items()}
    for name, track in tracks.items():
        for each in (name,) if name in arkit.ARKIT_NAMES else (f"{name}Left", f"{name}Right"):
            strengths[each] = np.clip(strengths.get(each, 0) + track, 0, 1)
    params = arkit.from_arkit(arkit.named(dict(strengths), timesteps))
    gaze = np.stack([poses["gaze_down"], poses["gaze_side"], 0 * times], 1)
    params["eyes_pose"] += torch.from_numpy(np.concatenate([gaze, gaze], 1)).float()
    turn = np.stack([poses["pitch"], poses["yaw"], poses["roll"]], 1)
    neck = np.stack([poses["neck_pitch"], poses["neck_yaw"], poses["neck_roll"]], 1)
    sway = reach * np.stack([np.sin(7 * times), np.cos(5 * times), np.sin(4 * times + 1)], 1)
    extra = {"rotation": turn, "neck_pose": neck, "translation": sway, "neck_shift": 0 * sway}
    return params | {name: torch.from_numpy(value).float() for name, value in extra.items()}


def _curve(track: Track, times: Float[np.ndarray, "T"]) -> Float[np.ndarray, "T"]:
    """Monotone cubic through the keyframes: no overshoot between them."""
    at, value = np.array(track, np.float64).T
    kept = np.concatenate([[True], np.diff(at) > 1e-9])
    return PchipInterpolator(at[kept], value[kept])(np.clip(times, at[0], at[-1]))
