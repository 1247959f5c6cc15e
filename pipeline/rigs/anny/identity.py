"""What makes a face: MakeHuman's targets, their weights, and random identities.

Shared by the bake (many identities -> a linear basis) and the demo (one identity outside it).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from pipeline.rigs.anny import source

REGIONS = (
    "head", "neck", "eyes", "nose", "mouth", "ears", "chin", "cheek", "forehead", "eyebrows",
)  # fmt: skip
# Targets meant to move the whole head or stretch the neck by some 10 cm.
DAMPED = {"head-trans": 0.0, "neck-trans": 0.15, "neck-scale-vert": 0.1, "neck-height": 0.15}


@dataclass(frozen=True)
class Identity:
    """What makes a face: MakeHuman's macro sliders and its local changes.

    `gender` 0 female .. 1 male, `age` 0 young .. 1 old, `muscle` and `weight` -1 .. 1 with 0
    the average, `race` shares of African, Asian and Caucasian features that sum to one, `local`
    a strength -1 .. 1 for each pair of `IdentityBasis.pairs`.
    """

    gender: float
    age: float
    muscle: float
    weight: float
    race: tuple[float, float, float]
    local: Float[np.ndarray, "P"]


class IdentityBasis:
    """All targets an identity is made of, over the base mesh's whole vertex list.

    Positions are linear in the weights of the targets; a weight is a product of macro shares
    or the strength of a local change, as MakeHuman combines them.
    """

    def __init__(self, base: source.BaseMesh) -> None:
        self.base = base
        self.pairs = base.local_changes(REGIONS)
        self._names = [*self._macro_weights(AVERAGE), *(n for pair in self.pairs for n in pair)]
        self.targets = np.stack([base.target(name) for name in self._names])

    def weights(self, identity: Identity) -> Float[np.ndarray, "K"]:
        """Strength of every target for an identity."""
        macro = list(self._macro_weights(identity).values())
        reach = np.array([damping(high) for _, high in self.pairs])
        local = identity.local * reach
        opposite = np.stack([np.maximum(-local, 0), np.maximum(local, 0)], 1)
        return np.concatenate([macro, opposite.ravel()])

    def verts(self, identity: Identity) -> Float[np.ndarray, "N 3"]:
        """The base mesh's vertices for an identity (m)."""
        return self.base.verts + np.tensordot(self.weights(identity), self.targets, 1)

    @staticmethod
    def _macro_weights(identity: Identity) -> dict[str, float]:
        genders = {"female": 1 - identity.gender, "male": identity.gender}
        ages = {"young": 1 - identity.age, "old": identity.age}
        races = dict(zip(("african", "asian", "caucasian"), identity.race, strict=True))
        result = {}
        for gender, of_gender in genders.items():
            for age, of_age in ages.items():
                share = of_gender * of_age
                for race, of_race in races.items():
                    result[f"macrodetails/{race}-{gender}-{age}"] = share * of_race
                for muscle, of_muscle in _thirds(identity.muscle).items():
                    for weight, of_weight in _thirds(identity.weight).items():
                        name = f"universal-{gender}-{age}-{muscle}muscle-{weight}weight"
                        result[f"macrodetails/{name}"] = share * of_muscle * of_weight
        return result


def _thirds(value: float) -> dict[str, float]:
    return {"min": max(-value, 0.0), "average": 1 - abs(value), "max": max(value, 0.0)}


AVERAGE = Identity(0.5, 0.25, 0.0, 0.0, (1 / 3, 1 / 3, 1 / 3), np.zeros(139))


@lru_cache(maxsize=1)
def identity_basis() -> IdentityBasis:
    """The installed MakeHuman's targets; reading them takes seconds, so it is done once."""
    return IdentityBasis(source.load_base())


def damping(target: str) -> float:
    """How far a local change may go: 1, or less for those that are no face shape."""
    return next((factor for key, factor in DAMPED.items() if key in target), 1.0)


def sample_identity(
    pairs: list[tuple[str, str]], rng: np.random.Generator, strength: float = 0.3
) -> Identity:
    """A random adult; left and right differ by a quarter of what they share.

    Args:
        pairs: `IdentityBasis.pairs`.
        rng: source of chance.
        strength: standard deviation of a local change.
    """
    shared: dict[str, float] = {}
    local = np.empty(len(pairs))
    for place, (_, high) in enumerate(pairs):
        region, name = high.split("/")
        key = f"{region}/{name[2:] if name[:2] in ('l-', 'r-') else name}"
        common = shared.setdefault(key, float(rng.normal()))
        local[place] = strength * (common + 0.25 * rng.normal())
    race = rng.dirichlet((1.0, 1.0, 1.0))
    return Identity(
        gender=float(rng.uniform()),
        age=float(rng.beta(1.0, 2.0)),
        muscle=float(rng.triangular(-0.8, 0.0, 0.8)),
        weight=float(rng.triangular(-0.8, 0.0, 0.8)),
        race=(float(race[0]), float(race[1]), float(race[2])),
        local=np.clip(local, -1.0, 1.0),
    )
