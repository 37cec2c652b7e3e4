"""The file format through which statements read part files: created once in a schema, and looked at from time to time.

Its options decide values (by default the text `\\N` would be NULL), and anybody with the right to it may alter them. A
statement that reads files would not notice.
Sources: Snowflake docs, "CREATE FILE FORMAT", "SHOW FILE FORMATS".
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from pgsnow.model.errors import AccessDenied, TargetMissing, TargetQueryFailed
from pgsnow.model.table import TargetName
from pgsnow.snowflake.names import FILE_FORMAT, file_format_of
from pgsnow.snowflake.session import Session
from pgsnow.snowflake.sql.staged import create_file_format, replace_file_format, show_file_format

OPTIONS: Mapping[str, Any] = MappingProxyType(
    {
        "TYPE": "PARQUET", "NULL_IF": [], "TRIM_SPACE": False, "BINARY_AS_TEXT": False, "USE_LOGICAL_TYPE": True,
        "USE_VECTORIZED_SCANNER": False, "REPLACE_INVALID_CHARACTERS": False,
    }
)  # fmt: skip
"""The options that decide values, as SHOW FILE FORMATS names them."""
NOT_APPROVED = "with `schema_changes: manual` a run changes nothing"
_EMPTY = ("", "()", "[]")


@dataclass(frozen=True, slots=True)
class AlteredFormat:
    """A file format that a person has altered. noticed: when (monotonic seconds). options: those that differ, with
    their values. why: why it could not be created again; None: it was."""

    noticed: float
    options: str
    why: str | None = None


@dataclass(eq=False, slots=True)
class _Known:
    lock: threading.Lock = field(default_factory=threading.Lock)
    seen: float | None = None
    altered: AlteredFormat | None = None


class FileFormats:
    """The file formats that this process has created or seen. Any thread may call."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}

    def forget(self, target: TargetName) -> None:
        """Look at the format of this schema again, whenever it was seen last."""
        self._known.pop(file_format_of(target), None)

    def make_fit(
        self, session: Session, target: TargetName, *, since: float, creates: bool, is_new: bool = False
    ) -> AlteredFormat | None:
        """Create the format of the target's schema if it is missing, and create it again if it was altered, unless that
        was looked at after `since` (monotonic seconds). Returns the alteration that was noticed last, by any thread.

        creates: False if nothing may be created. is_new: it is probably missing. A refusal to create a missing one is
        ignored: a role may be allowed to use one that it does not see, and the statement that needs it shows that.
        """
        known = self._known.setdefault(file_format_of(target), _Known())
        with known.lock:
            if known.seen is None or known.seen < since:
                if not (is_new and creates and _created(session, target)):
                    known.altered = _made_fit(session, target, creates) or known.altered
                known.seen = time.monotonic()
            return known.altered


def differing(shown: str) -> str:
    """The options in this JSON text of SHOW FILE FORMATS that would change values, as `NAME = value, …`; "" if there is
    none. What it does not mention is no difference."""
    try:
        options = json.loads(shown)
    except ValueError:
        return ""
    if not isinstance(options, dict):
        return ""
    wrong = {name: options[name] for name in OPTIONS if name in options and not _is_as(name, options[name])}
    return ", ".join(f"{name} = {_text(value)}" for name, value in wrong.items())


def _is_as(name: str, value: object) -> bool:
    wanted = OPTIONS[name]
    return _text(value) in _EMPTY if wanted == [] else _text(value) == _text(wanted)


def _text(value: object) -> str:
    return value.upper() if isinstance(value, str) else "" if value is None else json.dumps(value).upper()


def _created(session: Session, target: TargetName) -> bool:
    try:
        session.execute(create_file_format(target))
    except (AccessDenied, TargetQueryFailed):
        return False
    return True


def _made_fit(session: Session, target: TargetName, creates: bool) -> AlteredFormat | None:
    try:
        shown = session.execute(show_file_format(target))
    except TargetMissing:  # the schema
        return None
    there = dict(zip(shown.column("name"), shown.column("format_options"), strict=True))
    if FILE_FORMAT not in there:
        if creates:
            _created(session, target)
        return None
    if not (options := differing(str(there[FILE_FORMAT]))):
        return None
    if not creates:
        return AlteredFormat(time.monotonic(), options, NOT_APPROVED)
    try:
        session.execute(replace_file_format(target))
    except (AccessDenied, TargetQueryFailed) as refused:
        return AlteredFormat(time.monotonic(), options, str(refused))
    return AlteredFormat(time.monotonic(), options)
