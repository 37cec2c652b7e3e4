"""The configuration of one table as frozen values. docs/configuration.md describes each key for users."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)

from pgsnow.model.config.alerts import TableAlerts
from pgsnow.model.config.field_types import (
    ColumnName,
    Duration,
    FromOne,
    FromZero,
    KeyNames,
    Name,
    NameOfSource,
    NameOfTarget,
    Names,
    Positive,
    Share,
    Switch,
    Text,
    TextsByName,
    column,
    display,
    source_name,
    text,
)
from pgsnow.model.config.options import (
    CharPadding,
    CharPaddingChoice,
    Deletes,
    OnDetach,
    OnDetachChoice,
    OnDrop,
    OnDropChoice,
    OnTypeChange,
    OnTypeChangeChoice,
    Priority,
    PriorityChoice,
    RealValues,
    RealValuesChoice,
    SchemaChanges,
    SchemaChangesChoice,
    TimeZone,
    choice,
)
from pgsnow.model.config.transform_config import TransformConfig
from pgsnow.model.types.overflow import QUARANTINE, Overflow
from pgsnow.model.types.type_rules import mapping_named


class TableMode(StrEnum):
    """How changed rows are found in the source, and how they are applied to the target."""

    WATERMARK = "watermark"
    XMIN = "xmin"
    FULL = "full"
    APPEND = "append"
    LOG = "log"


WHOLE_MODES = frozenset({TableMode.FULL, TableMode.APPEND})
"""Modes that read the whole table whenever its content has changed. Rows need no key."""


class LateRows(StrEnum):
    """Handling of rows that become visible after newer ones were read."""

    LOSSLESS = "lossless"
    LOOKBACK = "lookback"
    OFF = "off"


class LoadMethod(StrEnum):
    """How a load batch reaches Snowflake: by files and COPY, from Snowflake's own stage or from the user's bucket; by
    INSERT with bound values; or by `insert` or `stage`, depending on its size."""

    AUTO = "auto"
    INSERT = "insert"
    STAGE = "stage"
    S3 = "s3"


class LoadVia(StrEnum):
    """How rows in files reach a target that has rows: read by the MERGE itself, or through a staging table."""

    AUTO = "auto"
    STAGE = "stage"
    TABLE = "table"


_OVERFLOW = {"enum": [*(str(choice.value) for choice in Overflow), QUARANTINE, None]}
# A bare `off` is false to editors that read YAML 1.1.
_LATE_ROWS = {"enum": [*(str(choice.value) for choice in LateRows), False]}


_DELETES = {"enum": [*(str(choice.value) for choice in Deletes), False, None]}


def _mode(value: object) -> TableMode:
    return choice(TableMode, value)


def _late_rows(value: object) -> LateRows:
    # YAML 1.1 reads a bare `off` as false; nothing else that reads as false is meant here.
    return choice(LateRows, "off" if value is False else value)


def _deletes(value: object) -> Deletes | None:
    # YAML 1.1 reads a bare `off` as false, too.
    return None if value is None else choice(Deletes, "off" if value is False else value)


def _load(value: object) -> LoadMethod:
    return choice(LoadMethod, value)


def _load_via(value: object) -> LoadVia:
    return choice(LoadVia, value)


def _overflow(value: object) -> Overflow:
    if value is None:  # YAML's reading of a bare `null`
        return Overflow.NULL
    return Overflow.REJECT if value == QUARANTINE else choice(Overflow, value)


def _overflow_by_name(value: object) -> dict[str, Overflow]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{display(value)} is not a mapping — write `{{column: {'|'.join(Overflow)}}}`")
    return {column(key): _overflow(item) for key, item in value.items()}


_RECORDED = PlainSerializer(lambda choice: choice.recorded)


def _numeric_type(value: object) -> str:
    found = text(value)
    try:
        known = mapping_named(found).snowflake
    except ValueError:
        known = ""
    if known != "VARCHAR" and not known.startswith("NUMBER"):
        raise ValueError(f"{display(value)} is neither text nor a NUMBER — write NUMBER(38, 9), for example")
    return found


class ColumnsConfig(BaseModel):
    """Which source columns are read, and their names in Snowflake. The pk is always read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    include: Names = ()
    """Columns to read; empty means all. If set, columns that are added to the source later are not read."""
    exclude: Names = ()
    """Columns that are never read."""
    rename: TextsByName = Field(default_factory=dict)
    """Source column → name in Snowflake."""
    on_overflow: Annotated[
        dict[str, Annotated[Overflow, _RECORDED]],
        BeforeValidator(_overflow_by_name),
        WithJsonSchema({"type": "object", "additionalProperties": _OVERFLOW}),
    ] = Field(default_factory=dict)
    """Source column → what to do with values that Snowflake's type cannot hold."""


class TableOptions(BaseModel):
    """Keys that both a table and `defaults:` may set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Annotated[TableMode, BeforeValidator(_mode)] = TableMode.WATERMARK
    """How changed rows are found: by a watermark, by transaction id, in the log, or by reading everything."""
    every: Duration = 0.0
    """Minimum time between two runs of this table; 0 means every tick."""
    watermark_timezone: TimeZone | None = None
    """Time zone of the values of a watermark column without time zone. If not set, reads start further back."""
    batch_size: FromOne = 1000
    """Rows passed to a transform's function at once, and rows read at once with `late_rows: off`."""
    transform: TransformConfig | None = None
    """Changes to rows before they are loaded: null, module:function, or a mapping."""
    late_rows: Annotated[LateRows, BeforeValidator(_late_rows), WithJsonSchema(_LATE_ROWS)] = (
        LateRows.LOSSLESS
    )
    """How to find rows that become visible after newer ones were read."""
    lookback: Duration = 300.0
    """With late_rows: lookback, how far behind the watermark each read starts."""
    max_skew: Duration = 10.0
    """How far the clock of a writer may differ from that of the server."""
    audit_every: Duration = 3600.0
    """Time between two audits, which search for rows that the watermark missed; 0 means never."""
    log_audit_every: Duration = 86_400.0
    """With mode log: time between two comparisons of a sample of the table's rows with the log; 0 means never."""
    verify_every: Duration = 0.0
    """Time in which the whole table is compared with its target once, a part of it each tick; 0 means never."""
    verify_budget_seconds: Positive = 5.0
    """With verify_every: how long one tick may compare; it stops after the range that it is comparing then."""
    verify_repair: Switch = False
    """With verify_every: repair the differences that are found, as `pgsnow repair` does."""
    load: Annotated[LoadMethod, BeforeValidator(_load)] = LoadMethod.AUTO
    """How rows reach Snowflake: INSERT with bound values, staged files, one of both by their number, or S3_BUCKET."""
    load_via: Annotated[LoadVia, BeforeValidator(_load_via)] = LoadVia.AUTO
    """Whether a MERGE reads staged files itself (stage), or COPY loads them into a staging table first (table); auto:
    itself, unless Snowflake rejects that."""
    load_every: Duration = 0.0
    """How long changed rows may stay staged before they are loaded; 0 means they are loaded in the same tick."""
    load_when_rows: FromOne | None = None
    """With load_every: load as soon as this many rows are staged."""
    load_when_mb: Positive | None = None
    """With load_every: load as soon as this many megabytes of files are staged."""
    priority: PriorityChoice = Priority.NORMAL
    """With `budget:`, which tables wait longer first when the credits would not last: those of low priority."""
    max_lag: Duration | None = None
    """With `budget:`, the longest lag that waiting may cause, whatever it costs; null: a day."""
    live_view: Switch = False
    """Keep a view beside the target, <target>_LIVE, that also shows staged rows that are not loaded yet. Experimental.
    """
    live_view_grace: Duration = 3600.0
    """With live_view: how long files stay in the stage after their rows are loaded, for queries that still read them.
    """
    insert_only: Switch = False
    """Rows of the source are only added, never changed: they are copied into the target without a MERGE."""
    transient: Switch | None = None
    """Create a new target without Fail-safe; null means with mode full. An existing target is never changed."""
    cluster_by: Names = ()
    """Columns of the source by whose columns in Snowflake the target is clustered."""
    max_rows_per_load: FromOne = 1_000_000
    """Maximum number of rows that one MERGE applies."""
    max_mb_per_chunk: Positive = 512.0
    """Size of the chunks of a full read: megabytes of the table, as Postgres stores it."""
    max_mb_per_s: Positive | None = None
    """Maximum megabytes of rows per second that a full read in chunks reads; null means no limit."""
    max_parallel_chunks: FromOne = 1
    """Maximum number of chunks of a table that all workers together load at the same time."""
    max_rejected_rows: FromZero = 10_000
    """Maximum number of rejected rows in one run; with more, the table stops with an error."""
    on_overflow: Annotated[Overflow, BeforeValidator(_overflow), _RECORDED, WithJsonSchema(_OVERFLOW)] = (
        Overflow.REJECT
    )
    """Handling of a value that Snowflake's type cannot hold."""
    real_values: RealValuesChoice = RealValues.SHORTEST
    """Value that Snowflake gets for a `real`: its shortest decimal, or the exact double."""
    char_padding: CharPaddingChoice = CharPadding.KEEP
    """Handling of the blanks at the end of `char(n)` values."""
    on_drop: OnDropChoice = OnDrop.KEEP
    """Handling of a column in Snowflake when the source's column is dropped."""
    on_detach: OnDetachChoice = OnDetach.DELETE
    """Handling of the rows of a partition that is detached or dropped."""
    deletes: Annotated[Deletes | None, BeforeValidator(_deletes), WithJsonSchema(_DELETES)] = None
    """Handling of rows that the source no longer has; null means hard for targets that pgsnow has created."""
    sweep_every: Duration = 86_400.0
    """Longest time between two searches for deleted rows, also if nothing shows that rows were deleted; 0: no limit."""
    sweep_share: Share = 0.05
    """Largest part of the time since the last search for deleted rows that the next one may take."""
    max_delete_share: Share = 0.2
    """Largest part of the target's rows that one search deletes (or 1000 rows) without confirmation."""
    on_type_change: OnTypeChangeChoice = OnTypeChange.SHADOW
    """Handling of a column whose type changes to one that its column in Snowflake cannot hold."""
    schema_changes: SchemaChangesChoice = SchemaChanges.AUTO
    """When DDL is sent to Snowflake: by every run as needed, or only by `pgsnow apply`."""
    columns: ColumnsConfig = ColumnsConfig()
    """Which columns are read, and their names in Snowflake."""
    numeric_type: Annotated[str, BeforeValidator(_numeric_type)] | None = None
    """Type of numeric columns without precision: text, or a NUMBER such as NUMBER(38, 9). Default: text."""
    audit_columns: Switch = True
    """Store when and by which run each row was loaded, in _PGSNOW_SYNCED_AT and _PGSNOW_RUN_ID."""
    where: Text | None = None
    """An SQL condition on the source's rows; only rows that meet it are read."""
    queue: Text | None = None
    """With execution: distributed, the Celery queue of this table's tasks; null means Celery's default."""
    alerts: TableAlerts | None = None
    """Thresholds of this table's alerts, where they differ from those at the top of the file."""
    enabled: Switch = True
    """false excludes the table from ticks."""

    @property
    def can_be_staged(self) -> bool:
        """True if changes can wait in files; others wait in the source, and are read when they are loaded."""
        return self.mode not in WHOLE_MODES and self.load is not LoadMethod.INSERT


class TableDefaults(TableOptions):
    """The section `defaults:`: values for keys that a table does not set itself."""

    pk: KeyNames | None = None
    """Column, or list of columns, that identifies a row."""
    watermark_column: ColumnName | None = None
    """Column that grows whenever a row changes."""


class TableConfig(TableOptions):
    """One entry of `tables:`. Durations are seconds; names of columns are raw, their case kept."""

    source: NameOfSource
    """The Postgres table: schema.table."""
    target: NameOfTarget
    """The Snowflake table: table, schema.table or database.schema.table."""
    pk: KeyNames | None = None
    """Column, or list of columns, that identifies a row; rows with the same pk are merged. Default: the primary key."""
    watermark_column: ColumnName | None = None
    """Column that grows whenever a row changes; used only in mode watermark."""
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
            return {**data, "name": "?"}  # the source is reported on its own
