import sys
from pathlib import Path

import pytest

from avatar.base.errors import UserError
from pipeline import media
from pipeline.media import ask, limits
from tests.hard_cases import encode
from tests.media_files import grey_frames


def test_videos_can_be_read_side_by_side_and_left_early(tmp_path: Path) -> None:
    first, second = (
        encode(tmp_path / name, grey_frames([level] * 30))
        for name, level in (("a.mp4", 40), ("b.mp4", 90))
    )
    both = zip(media.read_video(first), media.read_video(second), strict=True)
    for number, ((_, one), (_, other)) in enumerate(both):
        assert (round(one.mean()), round(other.mean())) == pytest.approx((40, 90), abs=2)
        if number == 20:
            break
    assert len(list(media.read_video(first))) == 30


def test_one_process_reads_one_video_after_the_other(tmp_path: Path) -> None:
    ask.close_idle()
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        path = encode(tmp_path / name, grey_frames([40] * 12))
        assert len(list(media.read_video(path))) == media.probe(path).times.size
    assert len(ask._idle) == 1


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("kill -SEGV $$", r"made the decoder crash \(SIGSEGV\)"),
        ("kill -XCPU $$", "took more processor time or memory"),
        ("exit 3", r"made the decoder fail \(exit code 3\)"),
        ("exec sleep 60", "nothing could be read for 0 s"),
    ],
)
def test_a_worker_that_ends_badly_costs_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, message: str
) -> None:
    worker = tmp_path / "worker"
    worker.write_text(f"#!/bin/sh\n{script}\n")
    worker.chmod(0o755)
    ask.close_idle()
    monkeypatch.setattr(sys, "executable", str(worker))
    monkeypatch.setattr(limits, "SILENCE", 0.3)
    with pytest.raises(UserError, match=message):
        media.probe(tmp_path / "a.mp4")
