"""Columns that a BEFORE UPDATE trigger moves with every update, from its function's source.

Only what happens at every update counts: an assignment inside `if new.status <> old.status then` is none, and neither
is `new.created_at := old.created_at`, which keeps the column as it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum

_COMMENTS = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_LITERAL = re.compile(r"'((?:[^']|'')*)'")
_NAME = r"\s*(?P<{0}>\"(?:[^\"]|\"\")+\"|[a-z_][\w$]*)"
_PIECE = re.compile(
    r"\b(?P<close>end\s+(?:if|loop|case))\b|\b(?P<test>if|elsif|elseif)\b(?P<condition>.*?)\bthen\b"
    r"|\b(?P<otherwise>else)\b|\b(?P<opaque>loop|case|exception)\b|\b(?P<leave>return)\b[^;]*|\braise\b[^;]*"
    r"|\binto\s+(?:strict\s+)?new\s*\."
    + _NAME.format("into")
    + r"|\bnew\s*\."
    + _NAME.format("set")
    + r"\s*:?=(?P<value>[^;]*)",
    re.IGNORECASE | re.DOTALL,
)
_CLOCK = re.compile(
    r"\b(?:now|clock_timestamp|statement_timestamp|transaction_timestamp)\s*\(|\bcurrent_(?:timestamp|date)\b"
    r"|\blocaltimestamp\b",
    re.IGNORECASE,
)
_SEQUENCE = re.compile(r"\bnextval\s*\(", re.IGNORECASE)
_ANY_UPDATE = re.compile(r"(?:tg_op (?:= '\w+'|in '\w+'(?: , '\w+')*)(?: or )?)+\Z")
_CHANGED = re.compile(r"(?:new|old)(?: \. \*)? (?:is distinct from|<>|!=) (?:new|old)(?: \. \*)?\Z")
_UNCHANGED = re.compile(r"(?:new|old)(?: \. \*)? (?:is not distinct from|=) (?:new|old)(?: \. \*)?\Z")


class Moved(StrEnum):
    """The source of the value that a trigger puts into a column at every update."""

    CLOCK = "clock"
    SEQUENCE = "sequence"


class _Reached(StrEnum):
    """Whether an update that changes a row comes to a place in the source."""

    ALWAYS = "always"
    PERHAPS = "perhaps"
    NEVER = "never"


def moved_columns(body: str) -> dict[str, Moved]:
    """Columns that PL/pgSQL source sets to the clock, or to a sequence's next value, at every update that changes the
    row. A source that cannot be followed has none."""
    found: dict[str, Moved] = {}
    branches: list[_Branches] = []
    certain = True
    text = _LITERAL.sub(_short, _COMMENTS.sub(" ", body))
    for piece in _PIECE.finditer(text):
        here = _reached(branches) if certain else _Reached.PERHAPS
        if piece["test"]:
            if piece["test"].lower() == "if":
                branches.append(_Branches())
            _enter(branches, _judged(piece["condition"]))
        elif piece["otherwise"]:
            _enter(branches, _Reached.ALWAYS)
        elif piece["opaque"]:
            branches.append(_Branches(_Reached.PERHAPS, here=_Reached.PERHAPS))
        elif piece["close"]:
            del branches[-1:]
        elif piece["leave"]:
            certain = certain and here is _Reached.NEVER
        elif name := piece["into"] or piece["set"]:
            _note(found, name, _moved_by(piece, text), here)
    return found


def _note(found: dict[str, Moved], name: str, moved: Moved | None, here: _Reached) -> None:
    """Note an assignment: one of another value may undo those before it."""
    column = name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()
    if moved is None and here is not _Reached.NEVER:
        found.pop(column, None)
    elif moved is not None and here is _Reached.ALWAYS:
        found[column] = moved


class _Branches:
    """The branches of one IF. rest: whether an update comes to the branches that follow. here: to the present one."""

    def __init__(self, rest: _Reached = _Reached.ALWAYS, here: _Reached = _Reached.ALWAYS) -> None:
        self.rest = rest
        self.here = here


def _enter(branches: list[_Branches], condition: _Reached) -> None:
    """Go on to the branch with this condition."""
    if not branches:  # an ELSE of an expression that was not recognized
        branches.append(_Branches(_Reached.PERHAPS))
    now = branches[-1]
    now.here = condition if now.rest is _Reached.ALWAYS else min(now.rest, condition, key=_NEVER_FIRST.index)
    if condition is _Reached.ALWAYS:
        now.rest = _Reached.NEVER
    elif condition is _Reached.PERHAPS and now.rest is _Reached.ALWAYS:
        now.rest = _Reached.PERHAPS


_NEVER_FIRST = (_Reached.NEVER, _Reached.PERHAPS, _Reached.ALWAYS)


def _reached(branches: Iterable[_Branches]) -> _Reached:
    return min((each.here for each in branches), key=_NEVER_FIRST.index, default=_Reached.ALWAYS)


def _judged(condition: str) -> _Reached:
    """Whether the condition holds at an update that changes the row."""
    text = re.sub(r"\brow\b|[()]", " ", condition.lower())
    text = " ".join(re.sub(r"(<>|!=|=|,|\.|\*)", r" \1 ", text).split()).replace("< >", "<>")
    if _CHANGED.match(text):
        return _Reached.ALWAYS
    if _UNCHANGED.match(text):
        return _Reached.NEVER
    if _ANY_UPDATE.match(text):
        return _Reached.ALWAYS if "'update'" in text else _Reached.NEVER
    return _Reached.PERHAPS


def _short(literal: re.Match[str]) -> str:
    """A literal that is one word, such as 'UPDATE', stays; others are emptied: they may hold anything."""
    return literal[0] if literal[1].isidentifier() else "''"


def _moved_by(piece: re.Match[str], text: str) -> Moved | None:
    """The source of the assigned value; in `select now() into new.at` that is the whole statement."""
    value = piece["value"]
    if value is None:
        value = text[text.rfind(";", 0, piece.start()) + 1 : piece.start()]
    if re.search(r"\bold\b", value, re.IGNORECASE) and not _SEQUENCE.search(value):
        return None
    if _SEQUENCE.search(value):
        return Moved.SEQUENCE
    return Moved.CLOCK if _CLOCK.search(value) else None


def moved_arguments(body: str, arguments: str, columns: Iterable[str]) -> frozenset[str]:
    """Columns that a trigger names as arguments, and that its function sets to the clock: `moddatetime(updated_at)`, or
    PL/pgSQL that reads TG_ARGV. tgargs ends each argument with a NUL (PostgreSQL docs, "pg_trigger")."""
    plain = _COMMENTS.sub(" ", body)
    generic = "tg_argv" in plain.lower() and _CLOCK.search(plain) is not None
    if not (body == "moddatetime" or generic):
        return frozenset()
    return frozenset(columns) & frozenset(arguments.split("\\000"))
