"""The configuration's schema, made from the stages' settings.

python -m tests.workflow.schema        # rewrites workflow/schemas/config.schema.yaml
"""

from typing import Any

import yaml
from pydantic import TypeAdapter

from avatar.base import names
from avatar.train.presets import TrainSettings
from pipeline.evaluate.settings import EvaluateSettings
from pipeline.ingest.settings import IngestSettings
from pipeline.matte.settings import MatteSettings
from pipeline.pack.settings import PackSettings
from pipeline.track.settings import TrackSettings
from tests.workflow.conftest import ROOT

PATH = ROOT / "workflow/schemas/config.schema.yaml"
STAGES: dict[str, Any] = {
    "ingest": IngestSettings,
    "matte": MatteSettings,
    "track": TrackSettings,
    "pack": PackSettings,
    "train": TrainSettings,
    "evaluate": EvaluateSettings,
}
HEADER = "# Made by `python -m tests.workflow.schema` from the stages' dataclasses; edit those.\n"


def config_schema() -> dict[str, Any]:
    """The JSON schema of config.yaml: types and names, no defaults (the dataclasses own them)."""
    properties: dict[str, Any] = {
        "rig": {"type": "string", "pattern": f"^{names.PATTERN}$"},
        "flame": {"type": ["string", "null"]},
    }
    definitions: dict[str, Any] = {}
    for stage, settings in STAGES.items():
        schema = TypeAdapter(settings).json_schema()
        definitions |= schema.pop("$defs", {})
        properties[stage] = _stripped(schema)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "additionalProperties": False,
        "required": list(properties),
        "properties": properties,
        "$defs": _stripped(definitions),
    }


def _stripped(value: Any) -> Any:
    if isinstance(value, list):
        return [_stripped(item) for item in value]
    if isinstance(value, dict):
        unwanted = {"default", "title", "description"}
        # A field may itself be called `title`: only words whose value is plain text are dropped.
        return {
            key: _stripped(item)
            for key, item in value.items()
            if key not in unwanted or (isinstance(item, dict) and "type" in item)
        }
    return value


def text() -> str:
    """What the schema's file holds."""
    return HEADER + yaml.safe_dump(config_schema(), sort_keys=False, width=100)


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")
