"""The layout of a rig's npz file: its arrays, what each must be, and their hash."""

import hashlib
from pathlib import Path

import numpy as np

from avatar.base import npz
from avatar.base.arrays import FLAGS, FLOATS, INTEGERS, TEXT, Spec, check
from avatar.base.errors import UserError

# V vertices, F faces, U texture coordinates, S shapes, E expressions, L landmarks.
TENSORS = {
    "v_template": Spec(FLOATS, ("V", 3)),
    "shapedirs": Spec(FLOATS, ("V", 3, "S")),
    "exprdirs": Spec(FLOATS, ("V", 3, "E")),
    "joint_template": Spec(FLOATS, (5, 3)),
    "joint_shapedirs": Spec(FLOATS, (5, 3, "S")),
    "parents": Spec(INTEGERS, (5,)),
    "skin_weights": Spec(FLOATS, ("V", 5)),
    "faces": Spec(INTEGERS, ("F", 3)),
    "uv": Spec(FLOATS, ("U", 2)),
    "uv_faces": Spec(INTEGERS, ("F", 3)),
}
OPTIONAL = {
    "posedirs": Spec(FLOATS, ("V", 3, 36)),
    "joint_exprdirs": Spec(FLOATS, (5, 3, "E")),
    "joint_regressor": Spec(FLOATS, (5, "V")),
}
LANDMARKS = {
    "landmark_ids": Spec(INTEGERS, ("L",)),
    "landmark_faces": Spec(INTEGERS, ("L",)),
    "landmark_barycentric": Spec(FLOATS, ("L", 3)),
    "landmark_spread": Spec(FLOATS, ("L",)),
    "landmark_response": Spec(FLOATS, ("L", 3, "K")),
}
ABOUT = {
    "name": Spec(TEXT, ()),
    "source_sha256": Spec(TEXT, ()),
    "expr_names": Spec(TEXT, ("E",)),
}
MASKS = ("skin", "eyeballs", "face", "eyes", "mouth", "neck", "scalp")  # every rig has these
_MASK = Spec(FLAGS, ("V",))
_WHAT = "a rig's npz file"
_MOST_MASKS = 64
_MEDIAPIPE = 478  # landmarks of the face mesh


def read(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of a rig's file, all checked; other arrays of the file are not read.

    Raises:
        UserError: the file is absent, or is not a rig's.
    """
    remedy = f"bake it again with 'snakemake {path}'"
    masks = [name for name in npz.names_in(path, remedy, _WHAT) if name.startswith("mask_")]
    wanted = (*TENSORS, *OPTIONAL, *LANDMARKS, *ABOUT, *masks[:_MOST_MASKS])
    arrays = npz.read(path, wanted, remedy, _WHAT)
    try:
        _check(arrays)
    except ValueError as problem:
        raise UserError(f"{path} is not {_WHAT} ({problem}): {remedy}") from None
    return arrays


def _check(arrays: dict[str, np.ndarray]) -> None:
    needed = [*TENSORS, *ABOUT, *LANDMARKS, *(f"mask_{name}" for name in MASKS)]
    if missing := [name for name in needed if name not in arrays]:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise ValueError(f"it lacks {', '.join(missing[:3])}{more}")
    tensors = {name: arrays[name] for name in (*TENSORS, *OPTIONAL) if name in arrays}
    sizes = check_tensors(tensors, [str(name) for name in arrays["expr_names"].ravel()])
    sizes["K"] = 1 + sizes["S"] + sizes["E"] + 9
    masks = {name: _MASK for name in arrays if name.startswith("mask_")}
    for name, spec in (ABOUT | LANDMARKS | masks).items():
        check(name, arrays[name], spec, sizes)
    _check_range("landmark_ids", arrays["landmark_ids"], _MEDIAPIPE)
    _check_range("landmark_faces", arrays["landmark_faces"], sizes["F"])
    if not (arrays["landmark_spread"] > 0).all():
        raise ValueError("landmark_spread is not above 0")


def check_tensors(tensors: dict[str, np.ndarray], expr_names: list[str]) -> dict[str, int]:
    """Check the tensors of a rig; return the sizes V, F, U, S and E.

    Raises:
        ValueError: a kind, a shape, a value that is not finite, or an index out of range.
    """
    sizes: dict[str, int] = {}
    for name, spec in (TENSORS | OPTIONAL).items():
        if name in tensors:
            check(name, tensors[name], spec, sizes)
    _check_range("faces", tensors["faces"], sizes["V"])
    _check_range("uv_faces", tensors["uv_faces"], sizes["U"])
    parents = tensors["parents"].tolist()
    if parents[0] != -1 or any(not 0 <= parents[k] < k for k in range(1, 5)):
        raise ValueError(f"parents are {parents}: expected -1, then joints that come before")
    if not np.allclose(tensors["skin_weights"].sum(1), 1, atol=1e-3):
        raise ValueError("skin_weights are not shares that sum to one")
    if len(expr_names) != sizes["E"]:
        raise ValueError(f"{len(expr_names)} names for {sizes['E']} expr")
    return sizes


def _check_range(name: str, indices: np.ndarray, count: int) -> None:
    if indices.size == 0 or indices.min() < 0 or indices.max() >= count:
        raise ValueError(f"{name} are not all in 0..{count - 1}")


def digest(name: str, expr_names: list[str], arrays: dict[str, np.ndarray]) -> str:
    """SHA-256 of a rig: its name, its expressions' names, and of every array its name, kind,
    shape and bytes, in the order of names."""
    result = hashlib.sha256(repr((name, expr_names)).encode())
    for key, array in sorted(arrays.items()):
        result.update(repr((key, array.dtype.str, array.shape)).encode())
        result.update(np.ascontiguousarray(array).data)
    return result.hexdigest()
