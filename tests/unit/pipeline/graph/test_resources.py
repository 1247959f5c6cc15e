"""What jobs ask for grows with the subject and after attempts that had too little."""

import json
import os
from pathlib import Path

from pipeline.graph import resources


def test_a_job_asks_for_more_where_there_is_more_to_do() -> None:
    small, large = resources.ask("track", 0.5), resources.ask("track", 20.0)
    assert small == (4050, 35)
    assert large == (6000, 230)
    assert resources.ask("track", 20.0, (3, 2)) == (18_000, 460)
    assert resources.ask("track", 20.0, threads=8) == (9000, 230)


def test_images_are_counted_anew_when_ingest_has_run_again(tmp_path: Path) -> None:
    assert resources.thousands_of_images(tmp_path) == 0
    index = tmp_path / "ingest/index.json"
    index.parent.mkdir()
    for clips in (1, 4):
        index.write_text(json.dumps({"clips": [{"timesteps": [0, 1, 2]}] * clips}))
        os.utime(index, (clips, clips))
        assert resources.thousands_of_images(tmp_path) == clips * 0.003
    index.write_text("[]")
    assert resources.thousands_of_images(tmp_path) == 0
