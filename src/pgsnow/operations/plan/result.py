"""The preview of a table as a value, and as JSON."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from pgsnow.model.errors import PgsnowError

NOTHING, EVERYTHING, CHANGES = "nothing", "everything", "what has changed"
"""Extent of the next run's read. After `everything` comes a colon and why."""
_DROPS = re.compile(r'ALTER TABLE (?:"(?:[^"]|"")*"\.?)+ DROP ')


class Action(StrEnum):
    """Change that the target needs before rows can be loaded."""

    CREATE = "create"
    CHANGE = "change"
    UNCHANGED = "unchanged"
    ERROR = "error"
    """The table cannot be synced."""


class GrantSide(StrEnum):
    """The database in which a statement is to be run."""

    SOURCE = "source"
    SNOWFLAKE = "snowflake"


@dataclass(frozen=True, slots=True)
class Grant:
    """A privilege that the role lacks. certain: False if the role may have inherited it."""

    side: GrantSide
    statement: str
    certain: bool = True

    def to_json(self) -> dict[str, Any]:
        return {"side": self.side.value, "statement": self.statement, "certain": self.certain}


@dataclass(frozen=True, slots=True)
class TablePreview:
    """Preview of the next run of one table.

    changes: sentences, one for each difference since the last run. ddl: the statements that the target needs first, in
    order. manual: only `pgsnow apply` may send them. reads: nothing, everything (with the reason), or what has changed.
    rows, bytes: the table's size without indexes, which is also that of a first load; None if unknown. tick: the
    statements of a tick that finds changes, for a sample load batch (a tick without changes sends none). first_load:
    the statements of a direct copy into an empty target; empty if the next run is not one. types: decisions about types
    that an analyst would not expect. deletes, deletes_reason: the rule for rows that the source lacks. warnings:
    doubts about the watermark and about deleted rows, and what reads cost. storage: whether the target is, or will be,
    transient; "" if that is not configured. error, advice: why the table cannot be synced.
    """

    table: str
    target: str
    action: Action = Action.UNCHANGED
    changes: tuple[str, ...] = ()
    ddl: tuple[str, ...] = ()
    manual: bool = False
    grants: tuple[Grant, ...] = ()
    reads: str = ""
    mode: str = ""
    mode_reason: str = ""
    load: str = ""
    rows: int | None = None
    bytes: int | None = None
    tick: tuple[str, ...] = ()
    first_load: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    deletes: str = ""
    deletes_reason: str = ""
    rows_to_delete: int | None = None
    """Rows of the target that the source no longer has; None: the next run does not search for them."""
    warnings: tuple[str, ...] = ()
    storage: str = ""
    error: str | None = None
    advice: str | None = None

    @property
    def pending(self) -> bool:
        """True if `pgsnow apply` has statements to send."""
        return self.action in (Action.CREATE, Action.CHANGE)

    def stopped(self, error: PgsnowError) -> TablePreview:
        """The preview of a table that this error stops."""
        return replace(self, action=Action.ERROR, ddl=(), error=str(error), advice=error.advice or None)

    def to_json(self) -> dict[str, Any]:
        """The JSON form, documented in docs/cli.md. New versions may add keys; none is removed."""
        return {
            "table": self.table,
            "target": self.target,
            "action": self.action.value,
            "changes": list(self.changes),
            "ddl": [{"mark": mark_of(sql), "statement": sql} for sql in self.ddl],
            "manual": self.manual,
            "grants": [grant.to_json() for grant in self.grants],
            "reads": self.reads,
            "mode": self.mode,
            "mode_reason": self.mode_reason,
            "load": self.load,
            "size": {"rows": self.rows, "bytes": self.bytes},
            "tick": {"changes": list(self.tick), "idle": []},
            "first_load": list(self.first_load),
            "types": list(self.types),
            "deletes": self.deletes,
            "deletes_reason": self.deletes_reason,
            "rows_to_delete": self.rows_to_delete,
            "warnings": list(self.warnings),
            "storage": self.storage,
            "error": self.error,
            "advice": self.advice,
        }


def mark_of(statement: str) -> str:
    """`+` for a statement that creates something, `-` for one that drops, `~` for one that alters."""
    if statement.startswith("CREATE "):
        return "+"
    return "-" if statement.startswith("DROP ") or _DROPS.match(statement) else "~"


def summary(previews: Iterable[TablePreview]) -> str:
    """One line with the number of tables by the change that they need."""
    count = Counter(preview.action for preview in previews)
    parts = [
        f"{count[Action.CREATE]} to create",
        f"{count[Action.CHANGE]} to change",
        f"{count[Action.UNCHANGED]} unchanged",
        *([f"{count[Action.ERROR]} cannot be synced"] if count[Action.ERROR] else []),
    ]
    pending = count[Action.CREATE] + count[Action.CHANGE]
    return f"Plan: {', '.join(parts)}. {'Run pgsnow apply.' if pending else 'Nothing to apply.'}"
