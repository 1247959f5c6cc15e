import numpy as np
import pytest

from avatar.base.errors import UserError
from avatar.data.layout import TEST, TRAIN, UNUSED, VAL, Tables
from pipeline.pack.split import SplitSettings, split_rows
from tests.subject import tables


def of_split(table: Tables, split: np.ndarray, part: int) -> set[tuple[int, int]]:
    rows = np.flatnonzero(split == part)
    return {(int(table.timestep[r]), int(table.camera[r])) for r in rows}


def test_split_of_one_camera_and_sequence() -> None:
    """The last 30 % are test, there is no val."""
    table = tables({"main": 10}, 1)
    split = split_rows(table, np.ones(10, bool), SplitSettings())
    assert split.tolist() == [TRAIN] * 7 + [TEST] * 3


def test_split_of_sixteen_cameras_and_two_sequences() -> None:
    """Camera 8 and the last sequence are held out."""
    table = tables({"calm": 3, "talk": 2}, 16)
    split = split_rows(table, np.ones(5, bool), SplitSettings())
    assert of_split(table, split, VAL) == {(t, 8) for t in range(3)}
    assert of_split(table, split, TEST) == {(t, c) for t in (3, 4) for c in range(16)}
    assert of_split(table, split, TRAIN) == {(t, c) for t in range(3) for c in range(16)} - {
        (t, 8) for t in range(3)
    }


def test_three_cameras_hold_none_out() -> None:
    split = split_rows(tables({"main": 4}, 3), np.ones(4, bool), SplitSettings())
    assert VAL not in split


def test_settings_name_what_is_held_out() -> None:
    table = tables({"calm": 2, "talk": 3}, 3)
    split = split_rows(table, np.ones(5, bool), SplitSettings(camera="c0", sequence="calm"))
    assert of_split(table, split, TEST) == {(t, c) for t in (0, 1) for c in range(3)}
    assert of_split(table, split, VAL) == {(t, 0) for t in (2, 3, 4)}
    half = split_rows(tables({"main": 4}, 1), np.ones(4, bool), SplitSettings(fraction=0.5))
    assert half.tolist() == [TRAIN, TRAIN, TEST, TEST]


def test_invalid_timesteps_are_unused() -> None:
    valid = np.array([True, False, True, False])
    split = split_rows(tables({"main": 4}, 1), valid, SplitSettings(fraction=0.5))
    assert split.tolist() == [TRAIN, UNUSED, TEST, UNUSED]


@pytest.mark.parametrize(
    ("settings", "valid", "message"),
    [
        ({"camera": "c9"}, [1, 1, 1, 1], "split.camera is 'c9'"),
        ({"sequence": "main"}, [1, 1, 1, 1], "split.sequence is 'main'"),
        ({}, [0, 0, 0, 1], "no frame is left for train"),
    ],
)
def test_impossible_splits_are_refused(
    settings: dict[str, str], valid: list[int], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        split_rows(tables({"main": 4}, 2), np.array(valid, bool), SplitSettings(**settings))  # type: ignore[arg-type]


def test_a_chosen_sequence_without_a_face_is_refused() -> None:
    table = tables({"a": 2, "b": 2}, 2)
    with pytest.raises(UserError, match="no frame is left for test"):
        split_rows(table, np.array([1, 1, 0, 0], bool), SplitSettings(sequence="b"))


@pytest.mark.fault("M8")
@pytest.mark.parametrize(
    ("valid", "expected"),
    [
        ([1] * 7 + [0] * 3, [TRAIN] * 5 + [TEST] * 2 + [UNUSED] * 3),  # gone at the end
        ([0] * 3 + [1] * 7, [UNUSED] * 3 + [TRAIN] * 5 + [TEST] * 2),  # late
        ([1] * 4 + [0] * 5 + [1], [TRAIN] * 3 + [TEST] + [UNUSED] * 5 + [TEST]),  # away for long
    ],
)
def test_the_last_valid_timesteps_are_held_out(valid: list[int], expected: list[int]) -> None:
    split = split_rows(tables({"main": 10}, 1), np.array(valid, bool), SplitSettings())
    assert split.tolist() == expected


@pytest.mark.fault("M8")
def test_a_last_sequence_without_a_face_is_not_the_one_held_out() -> None:
    table = tables({"a": 4, "b": 4, "c": 3}, 1)
    split = split_rows(table, np.array([1] * 8 + [0] * 3, bool), SplitSettings())
    assert split.tolist() == [TRAIN] * 4 + [TEST] * 4 + [UNUSED] * 3
    # Where one sequence alone shows a face, its end is held out.
    alone = split_rows(table, np.array([1] * 4 + [0] * 7, bool), SplitSettings())
    assert alone.tolist() == [TRAIN] * 3 + [TEST] + [UNUSED] * 7
