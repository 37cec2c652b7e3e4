"""Adds generated sources to the text of a sources.yml. What people wrote stays to the letter, comments included: only
missing entries are inserted, and the types of columns are corrected."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from pgsnow.model.errors import ConfigError

HEADER = """\
# Sources of dbt, made by `pgsnow dbt` from the tables that pgsnow syncs. Edit it freely: descriptions, tests and meta
# that you write stay. The command adds what is new and corrects data_type.
"""
LISTS = ("sources", "tables", "columns")
"""Keys with a list of mappings that are recognized by their name."""
TESTS = ("data_tests", "tests")
OWNED = "data_type"
WIDTH = 110


def merged(text: str, made: Mapping[str, Any], *, file: str) -> str:
    """The text with everything of `made` in it. An empty text becomes a new file. Idempotent. A text whose lines end as
    on Windows keeps that.

    Raises ConfigError if the text is no sources.yml, or if it is written so that nothing can be inserted."""
    if 0 < text.count("\n") == text.count("\r\n"):
        return merged(text.replace("\r\n", "\n"), made, file=file).replace("\n", "\r\n")
    if not text.strip():
        return HEADER + _block(made)
    if not text.endswith("\n"):
        text += "\n"
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        before = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that does not exist
        raise ConfigError(f"{file}: is not valid YAML: {error}") from None
    if root is None:  # only comments
        return text + _block(made)
    if not isinstance(root, yaml.MappingNode) or not isinstance(before.get("sources", []), list | None):
        raise ConfigError(
            f"{file}: is no file of dbt sources: it needs a list `sources:`",
            advice="Name another file, or delete this one and run the command again.",
        )
    edits = _Edits(text)
    edits.mapping(root, made)
    after = edits.result()
    try:
        is_safe = _keeps(before, yaml.safe_load(after))
    except yaml.YAMLError:
        is_safe = False
    if not is_safe:
        raise ConfigError(
            f"{file}: nothing can be inserted into it without changing what is there",
            advice="Write it with one key or list item a line, or name another file.",
        )
    return after


@dataclass(slots=True)
class _Edits:
    """Replacements of parts of a text: (start, end, new text), in the order in which they were found."""

    text: str
    found: list[tuple[int, int, str]] = field(default_factory=list)

    def result(self) -> str:
        text, at = "", 0
        for start, end, new in sorted(self.found, key=lambda edit: edit[0]):
            text += self.text[at:start] + new
            at = max(at, end)
        return text + self.text[at:]

    def mapping(self, node: yaml.MappingNode, made: Mapping[str, Any]) -> None:
        """Insert the keys of `made` that the node lacks, and go on with those that it has."""
        there = {key.value: value for key, value in node.value}
        missing: dict[str, Any] = {}
        for key, value in made.items():
            name = next((one for one in TESTS if one in there), key) if key in TESTS else key
            present = there.get(name)
            if present is None:
                missing[name] = value
            elif _says_something(value) and (_is_empty(present) or self._has_room_below(node, present)):
                self._replace(present, value, node.start_mark.column)
            elif key in LISTS and isinstance(present, yaml.SequenceNode):
                self._named(present, value)
            elif key in TESTS and isinstance(present, yaml.SequenceNode):
                names = {_test_name(item) for item in present.value}
                self._append(present, [test for test in value if test not in names])
            elif key == OWNED and _text(present).casefold() != str(value).casefold():
                self.found.append((present.start_mark.index, present.end_mark.index, json.dumps(value)))
        self._add_keys(node, missing)

    def _named(self, node: yaml.SequenceNode, made: Sequence[Mapping[str, Any]]) -> None:
        """Insert the items that the list lacks, by their name in any case, and go on with those that it has."""
        there = {name: item for item in node.value for name in _names(item)}
        new = []
        for entry in made:
            item = there.get(str(entry["name"]).casefold()) or there.get(
                str(entry.get("identifier")).casefold()
            )
            if item is None:
                new.append(entry)
            else:
                self.mapping(item, entry)
        self._append(node, new)

    def _append(self, node: yaml.SequenceNode, items: Sequence[Any]) -> None:
        if not items:
            return
        if node.flow_style:
            comma = ", " if node.value else ""
            self._before_end(node, comma + ", ".join(_flow(item) for item in items))
        else:
            self._after(node, _indented(_block([*items]), node.start_mark.column))

    def _add_keys(self, node: yaml.MappingNode, missing: Mapping[str, Any]) -> None:
        if not missing:
            return
        if node.flow_style:
            comma = ", " if node.value else ""
            pairs = ", ".join(f"{key}: {_flow(value)}" for key, value in missing.items())
            self._before_end(node, comma + pairs)
        else:
            self._after(node, _indented(_block(missing), node.start_mark.column))

    def _replace(self, node: yaml.Node, value: Any, column: int) -> None:
        """Write a value in the place of an empty one."""
        if isinstance(value, str):
            new = f" {_flow(value)}" if node.start_mark.index == node.end_mark.index else _flow(value)
        else:
            new = "\n" + _indented(_block(value), column + 2).rstrip("\n")
        start = (
            len(self.text[: node.start_mark.index].rstrip(" ")) if new[0] == "\n" else node.start_mark.index
        )
        self.found.append((start, node.end_mark.index, new))

    def _has_room_below(self, parent: yaml.MappingNode, node: yaml.Node) -> bool:
        """True for `[]` or `{}` at the end of its line: what belongs into it can be written one entry a line."""
        is_empty = isinstance(node, yaml.CollectionNode) and not node.value and not parent.flow_style
        return is_empty and self.text[node.end_mark.index :].partition("\n")[0].strip() == ""

    def _before_end(self, node: yaml.Node, new: str) -> None:
        end = node.end_mark.index - 1
        self.found.append((end, end, new))

    def _after(self, node: yaml.Node, lines: str) -> None:
        """Insert lines behind the last line that has a value of the node."""
        end = _last(node).end_mark.index
        if self.text[end - 1] != "\n":
            end = self.text.index("\n", end) + 1
        self.found.append((end, end, lines))


def _last(node: yaml.Node) -> yaml.Node:
    """The last node inside that has no others, or is written in one line."""
    while isinstance(node, yaml.CollectionNode) and node.value and not node.flow_style:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    return node


def _names(item: yaml.Node) -> Iterator[str]:
    """The names by which an entry is recognized."""
    if isinstance(item, yaml.MappingNode):
        for key, value in item.value:
            if key.value in ("name", "identifier"):
                yield _text(value).casefold()


def _test_name(node: yaml.Node) -> str:
    """The name of a test: `unique`, or the key of `{unique: {…}}`."""
    if isinstance(node, yaml.MappingNode) and node.value:
        return _text(node.value[0][0])
    return _text(node)


def _text(node: yaml.Node) -> str:
    return str(node.value) if isinstance(node, yaml.ScalarNode) else ""


def _says_something(value: Any) -> bool:
    """False for an empty value, and for a text of blanks, such as a comment in Postgres may be."""
    return bool(value.strip() if isinstance(value, str) else value)


def _is_empty(node: yaml.Node) -> bool:
    is_null = isinstance(node, yaml.ScalarNode) and (node.tag.endswith(":null") or node.value.strip() == "")
    return is_null or (isinstance(node, yaml.CollectionNode) and not node.value and not node.flow_style)


def _keeps(before: Any, after: Any) -> bool:
    """True if everything of `before` is still in `after`, except types of columns and empty values."""
    if isinstance(before, dict):
        return isinstance(after, dict) and all(
            key == OWNED or (key in after and _keeps(value, after[key])) for key, value in before.items()
        )
    if isinstance(before, list):
        return (
            isinstance(after, list)
            and len(after) >= len(before)
            and all(map(_keeps, before, after[: len(before)]))
        )
    return before in (None, "") or bool(before == after)


def _flow(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _block(value: Any) -> str:
    return str(
        yaml.safe_dump(value, sort_keys=False, allow_unicode=True, default_flow_style=False, width=WIDTH)
    )


def _indented(text: str, column: int) -> str:
    return "".join(
        f"{' ' * column}{line}" if line.strip() else line for line in text.splitlines(keepends=True)
    )
