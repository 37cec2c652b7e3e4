"""Options with a fixed set of values."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import BeforeValidator

from pgsnow.model.config.field_types import display, text


class Execution(StrEnum):
    """Whether one Celery task does the whole tick, or sends another task for each busy table."""

    SINGLE = "single"
    DISTRIBUTED = "distributed"


class OnDrop(StrEnum):
    """Handling of the target's column when the source's column is dropped."""

    KEEP = "keep"
    DROP = "drop"


class OnDetach(StrEnum):
    """Handling of the target's rows when their partition is detached or dropped in the source."""

    DELETE = "delete"
    KEEP = "keep"


class Deletes(StrEnum):
    """Treatment of the target's rows that the source no longer has."""

    HARD = "hard"
    """They are deleted."""
    SOFT = "soft"
    """They are marked as deleted, and keep their last values."""
    OFF = "off"
    """They stay."""


class OnTypeChange(StrEnum):
    """Handling of a column whose type changes to one that the target's column cannot hold."""

    SHADOW = "shadow"
    FAIL = "fail"


class SchemaChanges(StrEnum):
    """When DDL is sent to the target: by every run, or only by `pgsnow apply`."""

    AUTO = "auto"
    MANUAL = "manual"


class RealValues(StrEnum):
    """Which double stands for a value of type `real`: that of its shortest decimal, or that of the same value."""

    SHORTEST = "shortest"
    EXACT = "exact"


class CharPadding(StrEnum):
    """Handling of the blanks that fill up a value of type `char(n)`."""

    KEEP = "keep"
    TRIM = "trim"


class LogReader(StrEnum):
    """How the write-ahead log is read for mode log."""

    AUTO = "auto"
    """In a replication session; where none can be had, with SQL."""
    SESSION = "session"
    PEEK = "peek"


class Consistency(StrEnum):
    """Which changes of a tick become visible together."""

    TABLE = "table"
    """Each table's changes become visible on their own."""
    TICK = "tick"
    """The changes of all tables become visible in one transaction."""


class Priority(StrEnum):
    """How important it is that a table is fresh: with `budget:`, those of low priority are slowed first."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


Choice = TypeVar("Choice", bound=StrEnum)


def choice(kind: type[Choice], value: object) -> Choice:
    """The member of `kind` with this value. Raises a ValueError that lists all of them."""
    if isinstance(value, str) and str(value) in set(kind):
        return kind(str(value))
    raise ValueError(f"{display(value)} is not known — write {', '.join(kind)}")


def _of(kind: type[Choice]) -> Any:
    return BeforeValidator(lambda value: choice(kind, value))


def _time_zone(value: object) -> str:
    found = text(value)
    try:
        ZoneInfo(found)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        if available_timezones():  # empty: this machine has no list to check against
            message = f"{display(value)} is not a time zone — write an IANA name such as Europe/Berlin or UTC"
            raise ValueError(message) from None
    return found


ExecutionChoice = Annotated[Execution, _of(Execution)]
OnDropChoice = Annotated[OnDrop, _of(OnDrop)]
OnDetachChoice = Annotated[OnDetach, _of(OnDetach)]
OnTypeChangeChoice = Annotated[OnTypeChange, _of(OnTypeChange)]
RealValuesChoice = Annotated[RealValues, _of(RealValues)]
CharPaddingChoice = Annotated[CharPadding, _of(CharPadding)]
SchemaChangesChoice = Annotated[SchemaChanges, _of(SchemaChanges)]
LogReaderChoice = Annotated[LogReader, _of(LogReader)]
ConsistencyChoice = Annotated[Consistency, _of(Consistency)]
PriorityChoice = Annotated[Priority, _of(Priority)]
TimeZone = Annotated[str, BeforeValidator(_time_zone)]
