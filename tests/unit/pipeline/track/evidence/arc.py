"""Some cameras of an arc."""

from dataclasses import replace

from pipeline.track.solve.observations import Observations

NAMES = [f"cam{number}" for number in range(8)]


def some(observed: Observations, cameras: list[int]) -> Observations:
    return replace(
        observed, points=observed.points[:, cameras], seen=observed.seen[:, cameras],
        Ks=observed.Ks[cameras], viewmats=observed.viewmats[cameras],
    )  # fmt: skip
