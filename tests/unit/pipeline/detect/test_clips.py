import numpy as np

from pipeline.detect import clips


def test_every_clip_is_a_run_of_its_own() -> None:
    camera = np.array([0, 0, 1, 1, 0])
    sequence = np.array(["a", "a", "a", "b", "b"])
    index = np.array([1, 0, 0, 0, 0])
    runs = clips.runs(camera, sequence, index)
    assert runs == [([], [1, 0]), ([], [4]), ([], [2]), ([], [3])]


def test_long_clips_are_cut_and_the_tracker_warms_up() -> None:
    count = clips.CHUNK + 44
    runs = clips.runs(np.zeros(count, int), np.full(count, "a"), np.arange(count))
    assert [len(keep) for _, keep in runs] == [150, 150]
    assert runs[0][0] == []
    assert runs[1] == ([145, 146, 147, 148, 149], list(range(150, 300)))


def test_work_is_shared_out_evenly_and_completely() -> None:
    sizes = [10, 50, 20, 30]
    shares = [clips.share(sizes, worker, 2) for worker in range(2)]
    assert shares == [[0, 1], [2, 3]]


def test_the_way_back_from_quarter_turns() -> None:
    image = np.zeros((30, 50))
    image[7, 41] = 1
    for quarters in range(4):
        y, x = np.argwhere(np.rot90(image, quarters))[0]
        there = np.array([x + 0.5, y + 0.5])
        assert clips.turn_back(there, (50, 30), quarters).tolist() == [41.5, 7.5]
