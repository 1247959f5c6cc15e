"""config.yaml and the stages' dataclasses agree."""

from dataclasses import asdict
from typing import Any

import pytest
import yaml

from pipeline.graph.configuration import STAGES
from tests.workflow.conftest import ROOT

CONFIG = yaml.safe_load((ROOT / "config/config.yaml").read_text())


def _assert_same(config: dict, defaults: dict, where: str) -> None:
    for key, value in config.items():
        default: Any = defaults[key]
        if isinstance(value, dict) and isinstance(default, dict):
            _assert_same(value, default, f"{where}.{key}")
        else:
            plain = list(default) if isinstance(default, tuple) else default
            assert value == plain, f"{where}.{key}"


@pytest.mark.parametrize("stage", STAGES)
def test_config_shows_every_key_with_its_default(stage: str) -> None:
    defaults = asdict(STAGES[stage]())
    _assert_same(CONFIG[stage], defaults, stage)
    assert set(defaults) - set(CONFIG[stage]) <= {"priors"}
