"""Insertion of tables into an existing sync_config.yaml, which otherwise stays unchanged, byte for byte.

The new text is inserted at one place, found by the positions of the YAML nodes. The result is parsed before it is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from pgsnow.config.entry_text import block, flow, fresh, one_line
from pgsnow.config.yaml_lines import YamlProblem, read_yaml
from pgsnow.model.config.interpolation import expand
from pgsnow.model.config.sync_config import parse_config
from pgsnow.model.discovery.proposal import Proposal
from pgsnow.model.errors import ConfigError
from pgsnow.model.table import SourceName, TargetName

_COMMENTED_ENTRY = re.compile(r"^[ \t]*#[ \t]*-[ \t]+source:[ \t]*(.+?)[ \t]*\r?$", re.MULTILINE)
_BY_HAND = "Add these tables by hand; `pgsnow discover` shows them."


@dataclass(frozen=True, slots=True)
class Listed:
    """Tables that a table list already names. sources, commented: in SourceName's form. targets: as written."""

    sources: frozenset[str] = frozenset()
    commented: frozenset[str] = frozenset()
    targets: tuple[str, ...] = ()

    def __contains__(self, proposal: Proposal) -> bool:
        """True if the table is listed, or is commented out."""
        return not {str(proposal.name), one_line(str(proposal.name))}.isdisjoint(
            self.sources | self.commented
        )


def listed(text: str, env: Mapping[str, str]) -> Listed:
    """The tables that the text of a table list names. Raises ConfigError if it is not YAML."""
    tables = [table for table in _tables(_expanded(text, env)) if isinstance(table, Mapping)]
    commented = (_text_of(match[1]) for match in _COMMENTED_ENTRY.finditer(text))
    return Listed(
        frozenset(_source(table["source"]) for table in tables if isinstance(table.get("source"), str)),
        frozenset(_source(source) for source in commented if source),
        tuple(table["target"] for table in tables if _is_target(table.get("target"))),
    )


def merge(text: str, proposals: Sequence[Proposal], *, file: str, env: Mapping[str, str]) -> str:
    """`text` with the proposals that it does not name yet; unchanged if there are none.

    The result is a valid table list. Raises ConfigError if it would not be, also because of mistakes in `text`.
    """
    known = listed(text, env)
    new = [proposal for proposal in proposals if proposal not in known]
    if not new:
        return text
    merged = fresh(new) if not text.strip() else _inserted(text, new, file)
    added = [dict(proposal.entry) for proposal in new if proposal.entry is not None]
    tables = _tables(_data(merged))
    if tables != [*_tables(_data(text)), *added]:
        raise ConfigError(f"{file}: `tables:` cannot be extended automatically", advice=_BY_HAND)
    if tables:
        read = read_yaml(merged)
        parse_config(read.data, file=file, env=env, lines=read.lines)
    return merged


def _data(text: str) -> Any:
    try:
        return read_yaml(text).data
    except YamlProblem as problem:
        raise ConfigError(f"the table list is not YAML: {problem} — correct it first") from None


def _expanded(text: str, env: Mapping[str, str]) -> Any:
    """The parsed text with variables replaced. Problems with them are ignored: loading the file reports them."""
    ignored: list[object] = []
    return expand(_data(text), env, report=lambda *problem: ignored.append(problem))


def _tables(data: Any) -> list[Any]:
    tables = data.get("tables") if isinstance(data, Mapping) else None
    return list(tables) if isinstance(tables, (list, tuple)) else []


def _source(text: str) -> str:
    try:
        return str(SourceName.parse(text))
    except ValueError:
        return str(text)


def _is_target(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(TargetName.parse(value))
    except ValueError:
        return False


def _text_of(written: str) -> str:
    """The value of a YAML scalar."""
    try:
        value = yaml.safe_load(written)
    except yaml.YAMLError:
        return written
    return value if isinstance(value, str) else written


def _inserted(text: str, new: Sequence[Proposal], file: str) -> str:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if root is None:
        return _below(text, len(_lines(text)), ["", "tables:", *_blocks(new, 2)])
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError(f"{file}: is not a mapping", advice=_BY_HAND)
    tables = next((value for key, value in root.value if key.value == "tables"), None)
    if isinstance(tables, yaml.SequenceNode) and tables.flow_style:
        return _into_flow(text, tables, new)
    if isinstance(tables, yaml.SequenceNode):
        return _after_items(text, tables, new)
    if tables is None and not root.flow_style:
        return _below(text, len(_lines(text)), ["", "tables:", *_blocks(new, 2)])
    if tables is not None and tables.tag.endswith(":null") and not root.flow_style:
        return _below(text, tables.start_mark.line + 1, list(_blocks(new, 2)))
    raise ConfigError(f"{file}: its `tables:` is not a list", advice=_BY_HAND)


def _into_flow(text: str, tables: yaml.SequenceNode, new: Sequence[Proposal]) -> str:
    """Inserts after the last item, or after the bracket. Tables that cannot be synced are left out, because such lists
    have no comments."""
    items = [flow(proposal) for proposal in new if proposal.entry is not None]
    if not items:
        return text
    if not tables.value:
        at = tables.start_mark.index + 1
        return text[:at] + ", ".join(items) + text[at:]
    at = tables.value[-1].end_mark.index
    return text[:at] + "".join(f",\n  {item}" for item in items) + text[at:]


def _after_items(text: str, tables: yaml.SequenceNode, new: Sequence[Proposal]) -> str:
    dash = tables.start_mark.column
    last = tables.value[-1]
    inner = tables.value[0].start_mark.column - dash if isinstance(tables.value[0], yaml.MappingNode) else 2
    lines = _lines(text)
    at = _end_of(last) + 1
    return _below(text, _past_comments(lines, at, dash), ["", *_blocks(new, dash, max(inner, 2))])


def _blocks(new: Sequence[Proposal], indent: int, inner: int = 2) -> Iterator[str]:
    for number, proposal in enumerate(new):
        if number:
            yield ""
        yield from block(proposal, indent, inner)


def _end_of(node: yaml.Node) -> int:
    """The line of a node's last character. (The end mark of a block is at the start of what follows it.)"""
    if isinstance(node, (yaml.MappingNode, yaml.SequenceNode)) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end_of(last[1] if isinstance(last, tuple) else last)
    line: int = node.end_mark.line
    return line - 1 if node.end_mark.column == 0 and line > node.start_mark.line else line


def _past_comments(lines: Sequence[str], at: int, dash: int) -> int:
    """The line after the comments that belong to the list: all up to the end of the file; if another key follows, those
    that are indented, or that follow without a blank line."""
    end = at
    blank = False
    for number in range(at, len(lines)):
        line = lines[number].rstrip()
        bare = line.lstrip()
        if not bare:
            blank = True
        elif not bare.startswith("#"):
            return end
        elif len(line) - len(bare) >= max(dash, 1) or not blank:
            end = number + 1
    return max([end, *(n + 1 for n in range(at, len(lines)) if lines[n].strip())])


def _lines(text: str) -> list[str]:
    """Lines with their line ends, split as YAML splits them."""
    return re.findall(
        r"[^\r\n\x85\u2028\u2029]*(?:\r\n|[\r\n\x85\u2028\u2029])|[^\r\n\x85\u2028\u2029]+\Z", text
    )


def _below(text: str, at: int, new: Sequence[str]) -> str:
    lines = _lines(text)
    end = "\r\n" if lines and lines[0].endswith("\r\n") else "\n"
    before = "".join(lines[:at])
    if before and not before.endswith(("\n", "\r")):
        before += end
    return before + "".join(line + end for line in new) + "".join(lines[at:])
