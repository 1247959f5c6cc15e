"""Settings: dataclasses checked when they are read, from JSON and from `--set name=value`.

A stage's dataclass owns names, types, ranges (the annotated types below, or pydantic's own),
defaults and descriptions (`Attributes:` of its docstring). The error messages and the
`--help` of its command are generated from it. Imports nothing heavy.
"""

import difflib
import inspect
import json
import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import MISSING, fields, is_dataclass
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from avatar.base.errors import UserError

T = TypeVar("T")

NO_OTHER_KEYS = ConfigDict(extra="forbid")
Count = Annotated[int, Field(ge=0, le=10**9)]
PositiveInt = Annotated[int, Field(ge=1, le=10**9)]
Pixels = Annotated[int, Field(ge=32, le=16384)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
ProperShare = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
FilePath = Annotated[str, Field(min_length=1, pattern=r"^[^\x00-\x1f]*$")]

_LONGEST = 60  # characters of a value that a message shows
_TYPES = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "string": "text",
    "null": "null",
    "object": "a mapping",
    "array": "a list",
}


def read(cls: type[T], text: str, assignments: Iterable[str] = (), stage: str = "") -> T:
    """Build the dataclass `cls` from a JSON object; absent keys keep their default.

    Args:
        assignments: each `a.b=value` with a JSON or YAML value; they override the object.
        stage: whose settings these are, for messages.
    Raises:
        UserError: not a JSON object, an unknown key, or a value of the wrong type or range.
    """
    values = _parse(text)
    for assignment in assignments:
        _assign(values, assignment)
    return check(cls, values, stage)


def check(cls: type[T], values: object, stage: str = "") -> T:
    """Build the dataclass `cls` from plain values: mappings, lists, text, numbers.

    Args:
        stage: whose settings these are; messages call a key `<stage>.<key>`.
    Raises:
        UserError: an unknown key, or a value of the wrong type or range; names the key, the
            value, what is allowed, and the nearest key.
    """
    adapter = TypeAdapter(cls)
    try:
        # JSON's strict mode is the one wanted: lists are tuples, but true is no number.
        return adapter.validate_json(json.dumps(values, default=str), strict=True)
    except ValidationError as problem:
        raise UserError(_explain(problem, adapter.json_schema(), stage)) from None
    except (ValueError, TypeError, RecursionError) as problem:
        raise UserError(f"settings: {stage or 'the whole object'}: {problem}") from None


def merge(base: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    """`base` with the keys of `top` replaced, nested mappings key by key."""
    merged = dict(base)
    for key, value in top.items():
        nested = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = merge(base[key], value) if nested else value
    return merged


def describe(cls: type) -> str:
    """Every setting of a dataclass with its default, what is allowed and its description."""
    lines = []
    for name, default, allowed, text in _entries(cls, TypeAdapter(cls).json_schema()):
        lines.append(f"  {name} = {json.dumps(default)}   ({allowed})")
        lines += textwrap.wrap(text, 88, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return "\n".join(lines)


def _parse(text: str) -> dict[str, Any]:
    try:
        values = json.loads(text, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as problem:
        raise UserError(f"settings: the whole object: no JSON object ({problem})") from None
    if not isinstance(values, dict):
        raise UserError(f"settings: the whole object is {_short(values)}, expected a JSON object")
    return values


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"{', '.join(sorted(repeated))} given twice")
    return dict(pairs)


def _assign(values: dict[str, Any], assignment: str) -> None:
    """Set one `a.b=value` in nested mappings."""
    path, equals, text = assignment.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise UserError(f"--set {assignment}: expected NAME=VALUE, for example size=512")
    for key in keys[:-1]:
        values = values.setdefault(key, {})
        if not isinstance(values, dict):
            raise UserError(f"--set {assignment}: {key} has a value of its own already")
    values[keys[-1]] = _value(assignment, text)


def _value(assignment: str, text: str) -> Any:
    try:
        return json.loads(text)  # YAML 1.1 takes 1e-3 for text
    except (ValueError, RecursionError):
        pass
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError):
        raise UserError(f"--set {assignment}: the value is neither JSON nor YAML") from None


def _explain(problem: ValidationError, schema: dict[str, Any], stage: str) -> str:
    """The first thing that is wrong, in one sentence."""
    first = problem.errors(include_url=False)[0]
    place, kind = first["loc"], first["type"]
    key = ".".join(str(part) for part in (stage, *place) if part != "") or "the whole object"
    key = f"settings: {key}"
    if kind in ("unexpected_keyword_argument", "extra_forbidden"):
        known = list(_at(schema, place[:-1]).get("properties", {}))
        near = difflib.get_close_matches(str(place[-1]), known, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(known)}"
        return f"{key} is no setting: {hint}"
    if kind in ("missing", "missing_argument"):
        return f"{key} is missing: give {_allowed(_at(schema, place), schema)}"
    if kind == "value_error":  # of a dataclass's own check
        return f"{key}: {first['ctx']['error']}"
    allowed = _allowed(_at(schema, place), schema)
    return f"{key} is {_short(first['input'])}, expected {allowed}"


def _short(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def _at(schema: dict[str, Any], place: tuple[int | str, ...]) -> dict[str, Any]:
    """The part of a JSON schema that describes the value at `place`."""
    part = _resolved(schema, schema)
    for key in place:
        for option in part.get("anyOf", []):
            option = _resolved(option, schema)
            part = option if "properties" in option else part
        if isinstance(key, int):
            part = part.get("prefixItems", [{}] * (key + 1))[key]
        else:
            part = part.get("properties", {}).get(key, {})
        part = _resolved(part, schema)
    return part


def _resolved(part: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    reference = part.get("$ref")
    return schema["$defs"][reference.rsplit("/", 1)[1]] if reference else part


def _allowed(part: dict[str, Any], schema: dict[str, Any]) -> str:
    """What a part of a JSON schema allows, in words."""
    part = _resolved(part, schema)
    if "anyOf" in part:
        return " or ".join(_allowed(option, schema) for option in part["anyOf"])
    if "enum" in part or "const" in part:
        return "one of " + ", ".join(map(str, part.get("enum", [part.get("const")])))
    if "prefixItems" in part:
        items = [_allowed(item, schema) for item in part["prefixItems"]]
        same = f"{len(items)} values, each {items[0]}"
        return same if len(set(items)) == 1 else f"[{', '.join(items)}]"
    if part.get("type") == "string" and "minLength" in part:
        return "text, not empty"
    return (_TYPES.get(part.get("type", ""), "a value") + " " + _range(part)).strip()


def _range(part: dict[str, Any]) -> str:
    least, most = part.get("minimum"), part.get("maximum")
    above, below = part.get("exclusiveMinimum"), part.get("exclusiveMaximum")
    if least is not None and most is not None:
        return f"from {least:g} to {most:g}" if most < 10**9 else f"of {least:g} or more"
    words = [
        f"{word} {bound:g}"
        for word, bound in (("above", above), ("at least", least), ("below", below),
                            ("at most", most))
        if bound is not None
    ]  # fmt: skip
    return " and ".join(words)


def _entries(
    cls: type, schema: dict[str, Any], prefix: str = ""
) -> Iterator[tuple[str, Any, str, str]]:
    """Name, default, what is allowed and description of every setting, nested ones dotted."""
    texts = _descriptions(cls)
    for entry in fields(cls):
        made = entry.default_factory is not MISSING
        default = entry.default_factory() if entry.default_factory is not MISSING else entry.default
        if made and is_dataclass(default):
            yield from _entries(type(default), schema, f"{prefix}{entry.name}.")
            continue
        place = tuple(f"{prefix}{entry.name}".split("."))
        yield ".".join(place), default, _allowed(_at(schema, place), schema), texts[entry.name]


def _descriptions(cls: type) -> dict[str, str]:
    """Name to text of the `Attributes:` in a dataclass's docstring."""
    _, _, section = inspect.cleandoc(cls.__doc__ or "").partition("Attributes:\n")
    found: dict[str, str] = {}
    names: list[str] = []
    for line in textwrap.dedent(section).splitlines():
        if start := re.match(r"(\w+(?:, \w+)*): (.*)", line):
            names = start[1].split(", ")
            found |= dict.fromkeys(names, start[2])
        elif names:
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
    return found
