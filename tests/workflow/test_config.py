"""config.yaml, its schema and the stages' dataclasses say the same."""

from dataclasses import asdict
from typing import Any

import pytest
import yaml

from tests.workflow import schema
from tests.workflow.conftest import ROOT

CONFIG = yaml.safe_load((ROOT / "config/config.yaml").read_text())


def test_the_schema_is_that_of_the_dataclasses() -> None:
    assert schema.PATH.read_text() == schema.text(), "run: python -m tests.workflow.schema"


def _assert_same(config: dict, defaults: dict, where: str) -> None:
    for key, value in config.items():
        default: Any = defaults[key]
        if isinstance(value, dict) and isinstance(default, dict):
            _assert_same(value, default, f"{where}.{key}")
        else:
            plain = list(default) if isinstance(default, tuple) else default
            assert value == plain, f"{where}.{key}"


@pytest.mark.parametrize("stage", schema.STAGES)
def test_config_shows_every_key_with_its_default(stage: str) -> None:
    defaults = asdict(schema.STAGES[stage]())
    _assert_same(CONFIG[stage], defaults, stage)
    assert set(defaults) - set(CONFIG[stage]) <= {"priors"}
