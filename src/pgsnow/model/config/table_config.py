"""One table's settings, as frozen values. What each key means to a person is in docs/configuration.md."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)

from pgsnow.model.config.field_types import (
    Duration,
    FromOne,
    FromZero,
    KeyNames,
    Name,
    NameOfSource,
    NameOfTarget,
    Names,
    Positive,
    Switch,
    Text,
    TextsByName,
    identifier,
    shown,
    source_name,
    text,
)
from pgsnow.model.config.options import (
    OnDetach,
    OnDetachChoice,
    OnDrop,
    OnDropChoice,
    OnTypeChange,
    OnTypeChangeChoice,
    SchemaChanges,
    SchemaChangesChoice,
    choice,
)
from pgsnow.model.config.transform_config import TransformConfig
from pgsnow.model.types.overflow import QUARANTINE, Overflow


class TableMode(StrEnum):
    """How a table's rows are found in the source, and what becomes of those in the target."""

    WATERMARK = "watermark"
    XMIN = "xmin"
    FULL = "full"
    APPEND = "append"


WHOLE_MODES = frozenset({TableMode.FULL, TableMode.APPEND})
"""Read as a whole, whenever the content has changed; rows need no key."""


class LateRows(StrEnum):
    """What is done about rows that become visible after newer ones were read."""

    LOSSLESS = "lossless"
    LOOKBACK = "lookback"
    OFF = "off"


class LoadMethod(StrEnum):
    """How a load unit reaches Snowflake: by files and COPY, through Snowflake's own stage or a bucket of the user's;
    by bound inserts; or whichever of `insert` and `stage` suits its size."""

    AUTO = "auto"
    INSERT = "insert"
    STAGE = "stage"
    S3 = "s3"


_OVERFLOW = {"enum": [*(str(choice.value) for choice in Overflow), QUARANTINE, None]}
# A bare `off` is false to editors that read YAML 1.1.
_LATE_ROWS = {"enum": [*(str(choice.value) for choice in LateRows), False]}


def _mode(value: object) -> TableMode:
    return choice(TableMode, value)


def _late_rows(value: object) -> LateRows:
    # YAML 1.1 reads a bare `off` as false; nothing else that reads as false is meant here.
    return choice(LateRows, "off" if value is False else value)


def _load(value: object) -> LoadMethod:
    return choice(LoadMethod, value)


def _overflow(value: object) -> Overflow:
    if value is None:  # YAML's reading of a bare `null`
        return Overflow.NULL
    return Overflow.REJECT if value == QUARANTINE else choice(Overflow, value)


def _overflow_by_name(value: object) -> dict[str, Overflow]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{shown(value)} is not a mapping — write `{{column: {'|'.join(Overflow)}}}`")
    return {identifier(key): _overflow(item) for key, item in value.items()}


_RECORDED = PlainSerializer(lambda choice: choice.recorded)


def _time_zone(value: object) -> str:
    found = text(value)
    try:
        ZoneInfo(found)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        if available_timezones():  # none: this machine has no list to check against
            message = f"{shown(value)} is not a time zone — write an IANA name such as Europe/Berlin or UTC"
            raise ValueError(message) from None
    return found


class ColumnsConfig(BaseModel):
    """Which source columns are read, and what they are called in Snowflake. The pk is always read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    include: Names = ()
    """Columns to read; empty means all. Columns added to the source later are then left out."""
    exclude: Names = ()
    """Columns never read."""
    rename: TextsByName = Field(default_factory=dict)
    """Source column → name in Snowflake."""
    on_overflow: Annotated[
        dict[str, Annotated[Overflow, _RECORDED]],
        BeforeValidator(_overflow_by_name),
        WithJsonSchema({"type": "object", "additionalProperties": _OVERFLOW}),
    ] = Field(default_factory=dict)
    """Source column → what becomes of its values that Snowflake's type cannot hold."""


class TableOptions(BaseModel):
    """What both a table and `defaults:` may set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Annotated[TableMode, BeforeValidator(_mode)] = TableMode.WATERMARK
    """How changed rows are found: by a watermark, by transaction id, or by reading everything."""
    every: Duration = 0.0
    """Time between two runs of this table, where ticks come more often; 0 means every tick."""
    watermark_timezone: Annotated[str, BeforeValidator(_time_zone)] | None = None
    """Zone of a watermark column without one; if not told, reads reach further back."""
    batch_size: FromOne = 1000
    """Rows given to a transform's function at once, and read at once with `late_rows: off`."""
    transform: TransformConfig | None = None
    """What is done to rows on their way: null, module:function, or a mapping."""
    late_rows: Annotated[LateRows, BeforeValidator(_late_rows), WithJsonSchema(_LATE_ROWS)] = (
        LateRows.LOSSLESS
    )
    """How rows are found that become visible after newer ones were read."""
    lookback: Duration = 300.0
    """With late_rows: lookback, how far behind the watermark each read begins."""
    max_skew: Duration = 10.0
    """How far a writer's clock may differ from the server's."""
    audit_every: Duration = 3600.0
    """Time between two searches for rows that the watermark would have missed; 0 means never."""
    load: Annotated[LoadMethod, BeforeValidator(_load)] = LoadMethod.AUTO
    """How rows reach Snowflake: bound inserts, staged files, whichever suits their number, or files in S3_BUCKET."""
    load_every: Duration = 0.0
    """How long changed rows may wait in the stage before they are loaded; 0 loads them in the same tick."""
    load_when_rows: FromOne | None = None
    """With load_every: load as soon as so many rows wait."""
    load_when_mb: Positive | None = None
    """With load_every: load as soon as so many megabytes of files wait."""
    max_rows_per_load: FromOne = 1_000_000
    """Rows that one COPY and one MERGE apply at most."""
    max_mb_per_chunk: Positive = 512.0
    """Megabytes of a table, as Postgres stores it, that a full read loads and remembers at once."""
    max_mb_per_s: Positive | None = None
    """Megabytes of rows that a full read in chunks reads in a second at most; null means as many as it can."""
    max_parallel_chunks: FromOne = 1
    """Chunks of a table that are loaded at once at most, by all workers together."""
    max_rejected_rows: FromZero = 10_000
    """Rejected rows in one run after which the table stops with an error."""
    on_overflow: Annotated[Overflow, BeforeValidator(_overflow), _RECORDED, WithJsonSchema(_OVERFLOW)] = (
        Overflow.REJECT
    )
    """What becomes of a value that Snowflake's type cannot hold."""
    on_drop: OnDropChoice = OnDrop.KEEP
    """What becomes of a column in Snowflake when the source's is dropped."""
    on_detach: OnDetachChoice = OnDetach.DELETE
    """What becomes of the rows of a partition that is detached or dropped."""
    on_type_change: OnTypeChangeChoice = OnTypeChange.SHADOW
    """What is done when a column changes to a type that its column in Snowflake cannot take."""
    schema_changes: SchemaChangesChoice = SchemaChanges.AUTO
    """Who sends DDL to Snowflake: every run, or `pgsnow apply` alone."""
    columns: ColumnsConfig = ColumnsConfig()
    """Which columns are read, and their names in Snowflake."""
    audit_columns: Switch = True
    """Keep when, and by which run, each row was loaded: _PGSNOW_SYNCED_AT, _PGSNOW_RUN_ID."""
    where: Text | None = None
    """An SQL condition on the source's rows; only rows that meet it are read."""
    queue: Text | None = None
    """With execution: distributed, the queue of this table's messages; null leaves that to Celery."""
    enabled: Switch = True
    """false leaves the table out of ticks."""


class TableDefaults(TableOptions):
    """`defaults:`: each key stands for tables that do not set it themselves."""

    pk: KeyNames | None = None
    """Column, or list of columns, that identifies a row."""
    watermark_column: Name | None = None
    """Column that grows whenever a row changes."""


class TableConfig(TableOptions):
    """One entry of `tables:`. Durations are seconds; names of columns are raw, their case kept."""

    source: NameOfSource
    """The Postgres table: schema.table."""
    target: NameOfTarget
    """The Snowflake table: table, schema.table or database.schema.table."""
    pk: KeyNames | None = None
    """Column, or list of columns, that identifies a row; rows with the same pk are merged. Default: the primary key."""
    watermark_column: Name | None = None
    """Column that grows whenever a row changes; of no use but in mode watermark."""
    name: Name = ""
    """Unique; the table's key in the ledger. Default: the source's name."""

    @model_validator(mode="before")
    @classmethod
    def _named_after_source(cls, data: Any) -> Any:
        if not isinstance(data, Mapping) or data.get("name") is not None:
            return data
        try:
            return {**data, "name": str(source_name(data.get("source")))}
        except ValueError:
            return {**data, "name": "?"}  # the source is refused with its own message
