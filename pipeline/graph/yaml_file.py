"""YAML files that a user writes: plain values only, in bounded time and memory."""

from pathlib import Path
from typing import Any

import yaml

from avatar.base.errors import UserError
from pipeline.common.text import read_text, shown

_DEPTH = 32  # levels of nesting


class _Loader(yaml.SafeLoader):
    """Plain values: no aliases, no key twice, and a date stays text."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent):
            raise _at(event, f"*{event.anchor} refers to another place: write the value itself")
        self.depth += 1
        if self.depth > _DEPTH:
            raise _at(event, f"more than {_DEPTH} levels of nesting")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen: set[str] = set()
        for key, _ in node.value:
            if str(key.value) in seen:
                raise _at(key, f"{shown(key.value)} is given twice: keep one")
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def _at(place: Any, text: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=text, problem_mark=place.start_mark)


_WORDS = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:merge")
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _WORDS]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_mapping(path: Path) -> dict[str, Any]:
    """The mapping that a YAML file contains.

    Raises:
        UserError: it cannot be read, is no YAML or no mapping, is empty, gives a key twice, uses
            aliases, or is nested too deeply; names the line.
    """
    text = read_text(path)
    try:
        value = yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as problem:
        raise UserError(f"{path}: {_explain(problem, text)}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as problem:
        raise UserError(f"{path} is no YAML: {' '.join(str(problem).split())[:200]}") from None
    if value is None:
        raise UserError(f"{path} is empty: expected settings, for example `rig: anny`")
    if not isinstance(value, dict):
        raise UserError(f"{path}: expected settings as `key: value`, got a {type(value).__name__}")
    return {str(key): entry for key, entry in value.items()}


def _explain(problem: yaml.MarkedYAMLError, text: str) -> str:
    mark = problem.problem_mark or problem.context_mark
    if mark is None:
        return str(problem.problem)
    lines = text.split("\n")
    hint = ": indent with spaces, not with a tab" if "\t" in lines[mark.line] else ""
    return f"line {mark.line + 1}: {problem.problem}{hint}"
