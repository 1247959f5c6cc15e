import json
from pathlib import Path

import numpy as np
import pytest

from avatar.base.errors import UserError
from pipeline.common.gate import Quality


def test_the_worst_remark_gives_the_status(tmp_path: Path) -> None:
    quality = Quality({"share": np.float32(0.5), "per_camera": {"a": np.nan}})
    assert quality.status == "pass"
    quality.fail("one")
    quality.warn("two")
    quality.save(tmp_path / "quality.json")
    read = Quality.load(tmp_path / "quality.json")
    assert (read.status, read.messages) == ("fail", ["one", "two"])
    assert read.metrics == {"share": 0.5, "per_camera": {"a": None}}


@pytest.mark.fault("L1")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "[" * 100_000,
        '{"status": "pass", "metrics": {}',
        "\0\1\2",
        json.dumps({"status": "good", "metrics": {}, "messages": []}),
        json.dumps({"status": ["pass"], "metrics": {}, "messages": []}),
        json.dumps({"status": "pass", "metrics": [], "messages": []}),
        json.dumps({"status": "pass", "metrics": {}, "messages": "none"}),
        json.dumps({"status": "pass", "metrics": {}, "messages": [1]}),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "quality.json").write_text(text)
    with pytest.raises(UserError, match=r"quality\.json"):
        Quality.load(tmp_path / "quality.json")
