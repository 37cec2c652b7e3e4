"""What a table's configuration says of changes to the source's definition. docs/evolution.md tells users."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator

from pgsnow.model.config.field_types import shown


class Execution(StrEnum):
    """Whether one Celery task does the whole tick, or sends another task for each busy table."""

    SINGLE = "single"
    DISTRIBUTED = "distributed"


class OnDrop(StrEnum):
    """What becomes of the target's column when the source's is dropped."""

    KEEP = "keep"
    DROP = "drop"


class OnDetach(StrEnum):
    """What becomes of the target's rows when the partition they came from is detached or dropped."""

    DELETE = "delete"
    KEEP = "keep"


class OnTypeChange(StrEnum):
    """What is done when a column's type changes to one that the target's column cannot take."""

    SHADOW = "shadow"
    FAIL = "fail"


class SchemaChanges(StrEnum):
    """Who sends DDL to the target: every run, or `pgsnow apply` alone."""

    AUTO = "auto"
    MANUAL = "manual"


Choice = TypeVar("Choice", bound=StrEnum)


def choice(kind: type[Choice], value: object) -> Choice:
    """The choice so written, or a ValueError that lists them."""
    if isinstance(value, str) and str(value) in set(kind):
        return kind(str(value))
    raise ValueError(f"{shown(value)} is not known — write {', '.join(kind)}")


def _of(kind: type[Choice]) -> Any:
    return BeforeValidator(lambda value: choice(kind, value))


ExecutionChoice = Annotated[Execution, _of(Execution)]
OnDropChoice = Annotated[OnDrop, _of(OnDrop)]
OnDetachChoice = Annotated[OnDetach, _of(OnDetach)]
OnTypeChangeChoice = Annotated[OnTypeChange, _of(OnTypeChange)]
SchemaChangesChoice = Annotated[SchemaChanges, _of(SchemaChanges)]
