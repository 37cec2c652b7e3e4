"""Proposals as YAML text: entries with comments that give the reasons, other tables as comments."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from textwrap import wrap
from typing import Any

from pgsnow.model.discovery.proposal import Proposal

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*\Z")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
WIDTH = 100
HEADER = """\
# The tables to replicate from Postgres to Snowflake. Only tables in this list are read.
#
# pgsnow proposed these entries from the catalog; the comments give the reasons. Edit them as you like: another
# `pgsnow discover --write` adds new tables and changes nothing else. A table that is commented out stays out.
# `pgsnow check` reports problems, `pgsnow plan` shows what would be created and read.
sync_interval_seconds: 120
default_batch_size: 1000
"""


def scalar(value: Any) -> str:
    """One value on one line, quoted if YAML would not read it as the same text."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(scalar(item) for item in value)}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar(key)}: {scalar(item)}" for key, item in value.items()) + "}"
    text = str(value)
    if _PLAIN.match(text) and text.lower() not in _WORDS:
        return text
    if text.isprintable() and '"' in text:
        return "'" + text.replace("'", "''") + "'"
    return json.dumps(text, ensure_ascii=False)


def one_line(text: str) -> str:
    """Text for a comment: line ends and unprintable characters are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def block(proposal: Proposal, indent: int, inner: int = 2) -> list[str]:
    """The lines of an item of a block sequence. indent: column of its dash. inner: distance from the dash to the
    keys."""
    margin = " " * indent
    if proposal.entry is None:
        return [f"{margin}# {line}".rstrip() for line in _unsynced(proposal)]
    notes = (
        *proposal.reasons,
        *(f"type: {decision}" for decision in proposal.types),
        *(f"warning: {text}" for text in proposal.warnings),
    )
    comments = [f"{margin}# {line}" for note in notes for line in _folded(note)]
    return [*comments, *(margin + line for line in _item(proposal.entry, inner))]


def flow(proposal: Proposal) -> str:
    """The entry as an item of a flow sequence."""
    return json.dumps(dict(proposal.entry or {}), ensure_ascii=False)


def fresh(proposals: Iterable[Proposal]) -> str:
    """The text of a new file."""
    return HEADER + "tables:\n" + "\n\n".join("\n".join(block(proposal, 2)) for proposal in proposals) + "\n"


def _item(entry: Mapping[str, Any], inner: int) -> list[str]:
    lines = [f"{key}: {scalar(value)}" for key, value in entry.items()]
    dash = "-".ljust(inner)
    return [dash + lines[0], *(" " * inner + line for line in lines[1:])]


def _folded(text: str) -> list[str]:
    return wrap(one_line(text), WIDTH, break_long_words=False, subsequent_indent="  ")


def _unsynced(proposal: Proposal) -> list[str]:
    lines = _folded(f"Not synced: {proposal.refusal}")
    if proposal.fix:
        lines.append(f"→ {one_line(proposal.fix)}")
    return [*lines, *_item({"source": one_line(str(proposal.name))}, 2)]
