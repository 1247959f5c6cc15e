"""The 52 blendshape scores of a `face_landmarker.task`, a model that the user brings.

MediaPipe's wheel does not contain it. Its landmarks are not used: a rig's embedding is made with
the face mesh. It runs on a crop around the face that was detected before, one image at a time.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt8

from avatar.base.errors import UserError
from avatar.data.reader import FrameStore
from avatar.rig.arkit import ARKIT_NAMES
from pipeline.detect.face_mesh import quiet_stderr
from pipeline.detect.landmarks import Detections

AROUND = 0.35  # of the face's size, kept on every side of it
SAME = 0.1  # face sizes by which the model's face may be off the one detected before


def read_model(path: str | Path, sha256: str | None) -> bytes:
    """Read the model; the bytes that were checked are the ones that are loaded.

    Raises:
        UserError: absent, or of another checksum.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as problem:
        raise UserError(
            f"settings: track.task_model {path} cannot be read ({problem.strerror}): give its path"
        ) from None
    found = hashlib.sha256(data).hexdigest()
    if sha256 is None or found != sha256.lower():
        raise UserError(
            f"{path} has the sha256 {found}, expected {sha256} (track.task_model_sha256): "
            "get the file again or correct the setting"
        )
    return data


class Landmarker:
    """A face landmarker with blendshapes.

    Args:
        model: the file's bytes; `path` names it in messages.
    Raises:
        UserError: it is no face landmarker.
    """

    def __init__(self, model: bytes, path: str | Path) -> None:
        with quiet_stderr():
            import mediapipe
            from mediapipe.tasks.python.core.base_options import BaseOptions
            from mediapipe.tasks.python.vision import face_landmarker as tasks

            options = tasks.FaceLandmarkerOptions(
                base_options=BaseOptions(model_asset_buffer=model), output_face_blendshapes=True
            )
            try:
                self._landmarker = tasks.FaceLandmarker.create_from_options(options)
            except (RuntimeError, ValueError) as problem:
                reason = str(problem).strip().splitlines()[0][:120]
                raise UserError(
                    f"{path} is no face landmarker that MediaPipe can run ({reason}): "
                    "give a face_landmarker.task with blendshapes"
                ) from None
        self._image, self._format = mediapipe.Image, mediapipe.ImageFormat.SRGB

    def __call__(self, image: UInt8[np.ndarray, "H W 3"]) -> Any:
        """MediaPipe's own result for one RGB image."""
        return self._landmarker.detect(self._image(self._format, np.ascontiguousarray(image)))

    def close(self) -> None:
        """Free the graph."""
        self._landmarker.close()


def score_store(
    store: FrameStore, found: Detections, path: str | Path, sha256: str | None
) -> Float[np.ndarray, "M 52"]:
    """ARKit scores (0..1, in the order of `ARKIT_NAMES`) of every frame; NaN: none.

    Raises:
        UserError: the model is absent, another or no face landmarker.
    """
    landmarker = Landmarker(read_model(path, sha256), path)
    scores = np.full((len(store), len(ARKIT_NAMES)), np.nan)
    try:
        for row in np.flatnonzero(found.found):
            image, corner = _around(store.image(int(row)), found.points[row])
            scores[row] = scores_of(landmarker(image), image.shape, found.points[row] - corner)
    finally:
        landmarker.close()
    return scores


def scores_of(
    result: Any, shape: tuple[int, ...], face: Float[np.ndarray, "478 2"]
) -> Float[np.ndarray, "52"]:
    """Scores of a result whose face is where the detected one is (px); NaN: it is not.

    A name that the model lacks (MediaPipe's lacks `tongueOut`) stays NaN.
    """
    scores = np.full(len(ARKIT_NAMES), np.nan)
    if not result.face_landmarks or not result.face_blendshapes:
        return scores
    seen = np.array([(point.x, point.y) for point in result.face_landmarks[0]])
    seen = seen * [shape[1], shape[0]]
    size = np.ptp(face, axis=0).max()
    if np.linalg.norm(seen.mean(0) - face.mean(0)) > SAME * size:
        return scores
    for entry in result.face_blendshapes[0]:
        if entry.category_name in ARKIT_NAMES:
            scores[ARKIT_NAMES.index(entry.category_name)] = entry.score
    return scores


def per_timestep(
    store: FrameStore, scores: Float[np.ndarray, "M 52"]
) -> tuple[Float[np.ndarray, "T 52"], Bool[np.ndarray, "T 52"]]:
    """The median over a timestep's cameras, and where any camera has a score."""
    whole = np.full((len(store.sequence), len(store.camera_ids), scores.shape[1]), np.nan)
    whole[store.timestep, store.camera] = scores
    known = np.isfinite(whole).any(1)
    whole = np.where(known[:, None], whole, 0.0)
    return np.nanmedian(whole, axis=1), known


def _around(
    image: UInt8[np.ndarray, "H W 3"], face: Float[np.ndarray, "478 2"]
) -> tuple[UInt8[np.ndarray, "h w 3"], Float[np.ndarray, "2"]]:
    """Crop around a face, so that no other face is detected, and the crop's corner."""
    low, high = face.min(0), face.max(0)
    margin = AROUND * float((high - low).max())
    size = np.array(image.shape[1::-1])
    first = np.clip(np.floor(low - margin), 0, size - 1).astype(int)
    last = np.clip(np.ceil(high + margin), first + 1, size).astype(int)
    return image[first[1] : last[1], first[0] : last[0]], first.astype(float)
