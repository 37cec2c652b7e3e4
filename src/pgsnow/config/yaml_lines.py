"""YAML parsing that also gives the line of every key, and detects duplicate keys."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from pgsnow.model.config.interpolation import Path

MAX_NODES = 200_000
"""Far more than any table list has; only nested aliases can lead to more."""
_WORD = re.compile(r"((?:alias|anchor|tag|tag handle|base \d+:|float:) )(['\"]).*\2")
"""A word of the file in a message of the parser: an alias, an anchor, a tag, a number that is none."""
_MARK = "; a text that begins with *, & or ! must be quoted"


class YamlProblem(ValueError):
    """The text is not valid YAML. line: from 1, None if unknown."""

    def __init__(self, message: str, line: int | None) -> None:
        super().__init__(message)
        self.line = line


@dataclass
class YamlText:
    """data: plain values. lines: key path → line, from 1. duplicates: path of a repeated key → its lines."""

    data: Any
    lines: dict[Path, int] = field(default_factory=dict)
    duplicates: dict[Path, list[int]] = field(default_factory=dict)


def read_yaml(text: str) -> YamlText:
    """Parses one document with safe tags only. Of duplicate keys the last one is used. Raises YamlProblem."""
    try:
        return _read(yaml.SafeLoader(text))
    except YamlProblem:
        raise
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlProblem(
            _without_words(error.problem or "not YAML"), mark.line + 1 if mark else None
        ) from None
    except yaml.YAMLError as error:
        raise YamlProblem(str(error).replace("\n", " "), None) from None
    except RecursionError:
        raise YamlProblem("it is nested too deeply", None) from None
    except ValueError as error:
        problem = _without_words(str(error))
        raise YamlProblem(f"a value that YAML reads as a date or a number: {problem}", None) from None


def _without_words(problem: str) -> str:
    """The parser's message without words of the file: a password may begin with a mark of YAML."""
    text, found = _WORD.subn(r"\1…", problem)
    return text + _MARK if found else text


def _read(loader: yaml.SafeLoader) -> YamlText:
    node = loader.get_single_node()
    read = YamlText(None)
    if node is None:
        return read
    for count, (path, line) in enumerate(_walk(node, (), (), read.duplicates)):
        if count > MAX_NODES:
            raise YamlProblem("its aliases expand to too many values", None)
        read.lines[path] = line
    read.data = loader.construct_document(node)
    return read


def _walk(
    node: yaml.Node, path: Path, around: tuple[int, ...], duplicates: dict[Path, list[int]]
) -> Iterator[tuple[Path, int]]:
    """Each path below `node` with its line. `around`: ids of the nodes that hold this one."""
    if id(node) in around:
        raise YamlProblem("an alias refers to a value that contains it", node.start_mark.line + 1)
    inside = (*around, id(node))
    if isinstance(node, yaml.MappingNode):
        yield from _walk_mapping(node, path, inside, duplicates)
    elif isinstance(node, yaml.SequenceNode):
        for at, item in enumerate(node.value):
            yield (*path, at), item.start_mark.line + 1
            yield from _walk(item, (*path, at), inside, duplicates)


def _walk_mapping(
    node: yaml.MappingNode, path: Path, inside: tuple[int, ...], duplicates: dict[Path, list[int]]
) -> Iterator[tuple[Path, int]]:
    first: dict[str, int] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.value == "<<":
            continue
        line = key.start_mark.line + 1
        here = (*path, key.value)
        if key.value in first:
            duplicates.setdefault(here, [first[key.value]]).append(line)
        first.setdefault(key.value, line)
        yield here, line
        yield from _walk(value, here, inside, duplicates)
