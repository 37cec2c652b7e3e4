"""sync_config.yaml as frozen values.

`parse_config` turns parsed YAML into a SyncConfig, or raises one error that lists everything that is wrong with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr

from pgsnow.model.config.alerts import AlertsConfig, SecretText, SecretUrl
from pgsnow.model.config.budget import BudgetConfig
from pgsnow.model.config.cost import CostConfig
from pgsnow.model.config.cross_checks import check_tables
from pgsnow.model.config.defaults import MOVED, deprecations, table_defaults
from pgsnow.model.config.field_types import (
    Duration,
    FromOne,
    FromZero,
    Identifier,
    Positive,
    Size,
    Switch,
    folder,
    slot_name,
)
from pgsnow.model.config.interpolation import Path, escape, expand
from pgsnow.model.config.json_schema import schema_of
from pgsnow.model.config.options import (
    Consistency,
    ConsistencyChoice,
    Execution,
    ExecutionChoice,
    LogReader,
    LogReaderChoice,
)
from pgsnow.model.config.problems import Problems
from pgsnow.model.config.table_config import (
    ColumnsConfig,
    LateRows,
    LoadMethod,
    TableConfig,
    TableDefaults,
    TableMode,
)
from pgsnow.model.config.transform_config import MaskRule, TransformConfig
from pgsnow.model.errors import ConfigError
from pgsnow.model.table import SourceName, TargetName

__all__ = [
    "ColumnsConfig",
    "Execution",
    "LateRows",
    "LoadMethod",
    "MaskRule",
    "SyncConfig",
    "TableConfig",
    "TableMode",
    "TransformConfig",
    "json_schema",
    "parse_config",
]


EXTENSION = "x-"
"""Keys of the file that begin with this are not read: they are a place for anchors (`x-shared: &shared {…}`)."""


class SyncConfig(BaseModel):
    """The whole file. `default_batch_size` and `defaults:` are already merged into `tables`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sync_interval_seconds: Positive = 120.0
    """Seconds between two ticks."""
    default_batch_size: FromOne = 1000
    """`batch_size` of tables that set none."""
    parallel_tables: FromOne = 4
    """Tables with changes that a tick syncs at the same time."""
    execution: ExecutionChoice = Execution.SINGLE
    """How a tick runs under Celery: as one task, or as a task for each table with changes, on any worker."""
    ledger_schema: Identifier = "public"
    """Postgres schema of pgsnow's own tables (sync_watermarks, sync_errors, sync_logs and others)."""
    log_retention_days: FromOne = 14
    """Days that sync_logs rows are kept."""
    task_time_limit_seconds: FromOne = 21_600
    """Seconds after which Celery ends a tick that hangs."""
    cost: CostConfig = CostConfig()
    """Facts about the warehouse, for the estimates of costs."""
    budget: BudgetConfig | None = None
    """Credits a day that loads may use, and hours in which no warehouse is resumed."""
    alerts: AlertsConfig | None = None
    """When a message about the sync is sent, and to which receivers."""
    heartbeat_url: SecretUrl | None = None
    """Address that is requested at the end of each tick, for a service that gives an alarm when that stops."""
    heartbeat_fail_url: SecretUrl | None = None
    """Address that is requested instead after a tick that failed, or in which a table failed."""
    heartbeat_table: Switch = False
    """Keep a table _PGSNOW_HEARTBEAT beside the targets that says up to when each of them is equal to its source; it is
    written with the loads of a tick."""
    heartbeat_every: Duration = 0.0
    """With heartbeat_table: between loads, write it at most this often, which wakes the warehouse; 0 means never."""
    openlineage_url: SecretUrl | None = None
    """Address to which an OpenLineage event is posted when a table's run starts and ends."""
    openlineage_api_key: SecretText | None = None
    """Key that is sent with these events, as `Authorization: Bearer`."""
    log_reader: LogReaderChoice = LogReader.AUTO
    """With mode log, how the write-ahead log is read: in a replication session, or with SQL (peek)."""
    log_slot: Annotated[str, BeforeValidator(slot_name)] | None = None
    """Name of the replication slot for mode log; null: pgsnow_ and a part of the ledger's id."""
    log_publication: Identifier | None = None
    """Name of the publication for mode log; null: as the slot."""
    max_retained_wal: Size | None = None
    """How much write-ahead log the slot may hold back on the source's disk before it is given up; null: half of
    max_slot_wal_keep_size, or 8 GB."""
    max_log_spool_mb: FromOne = 10_240
    """Megabytes of changes that one read of the log may keep on the worker's disk."""
    log_spool_dir: Annotated[str, BeforeValidator(folder)] | None = None
    """A folder on a persistent volume that all workers share. Changes that were read from the log are kept there while
    Snowflake cannot be reached; null: the log waits on the source instead."""
    max_log_spool_dir: Size = Field(default=10 << 30, json_schema_extra={"default": "10GB"})
    """How much log_spool_dir may hold."""
    consistency: ConsistencyChoice = Consistency.TABLE
    """Whether a tick's changes become visible table by table, or those of all tables at once."""
    max_rows_per_tick: FromOne = 1_000_000
    """With consistency: tick, how many changed rows one transaction may have; more are loaded table by table."""
    tables: tuple[TableConfig, ...]
    """The tables to sync, one entry each."""
    _warnings: tuple[str, ...] = PrivateAttr(())

    @property
    def warnings(self) -> tuple[str, ...]:
        """Accepted but deprecated keys in the file, one sentence each. `check` and the log show them."""
        return self._warnings

    def with_tables(self, tables: Iterable[TableConfig], warnings: tuple[str, ...]) -> SyncConfig:
        """A copy with these tables and warnings."""
        copy = self.model_copy(update={"tables": tuple(tables)})
        copy._warnings = warnings
        return copy

    @property
    def enabled(self) -> tuple[TableConfig, ...]:
        """Tables without `enabled: false`, in the file's order."""
        return tuple(table for table in self.tables if table.enabled)

    @property
    def logged(self) -> tuple[TableConfig, ...]:
        """Enabled tables with `mode: log`, in the file's order."""
        return tuple(table for table in self.enabled if table.mode is TableMode.LOG)

    def log_names(self, ledger: str) -> tuple[str, str]:
        """The names of the slot and the publication for mode log. ledger: the ledger's id."""
        from pgsnow.model.log.slot import slot_name_of  # most configurations do without it

        slot = self.log_slot or slot_name_of(ledger)
        return slot, self.log_publication or slot

    def table(self, name: str) -> TableConfig:
        """The table with this name. Raises ConfigError."""
        for table in self.tables:
            if table.name == name:
                return table
        raise _unknown([name], self.tables)

    def select(self, names: Iterable[str] | None) -> tuple[TableConfig, ...]:
        """Tables by name, source or target, in the file's order; None selects the enabled ones.

        A table that is named is selected even if it is not enabled. Raises ConfigError for unknown names.
        """
        if names is None:
            return self.enabled
        wanted = list(names)
        found = [(asked, table) for asked in wanted for table in self.tables if _is_named(asked, table)]
        if missing := [asked for asked in wanted if asked not in {name for name, _ in found}]:
            raise _unknown(missing, self.tables)
        chosen = {table.name for _, table in found}
        return tuple(table for table in self.tables if table.name in chosen)

    def check_targets(self, *, database: str, schema: str) -> None:
        """Raises ConfigError if two tables have the same target, once the settings have filled in its missing parts."""
        seen: dict[TargetName, str] = {}
        problems = []
        for table in self.tables:
            target = TargetName.parse(table.target, database=database, schema=schema)
            if target in seen:
                problems.append(f"{seen[target]} and {table.name} have the same target {target} — change one")
            seen.setdefault(target, table.name)
        if problems:
            raise ConfigError(problems)

    def check_staging(self, *, bucket: bool) -> None:
        """Raises ConfigError if an enabled table is loaded through a bucket and the settings name none."""
        lacking = [table.name for table in self.enabled if table.load is LoadMethod.S3]
        if lacking and not bucket:
            raise ConfigError(
                [
                    f"{name}: load: s3 needs a bucket — set S3_BUCKET, or write load: stage"
                    for name in lacking
                ],
                advice="What the S3_* variables mean: `pgsnow explain settings#a-bucket`.",
            )

    def to_data(self) -> dict[str, Any]:
        """Plain data that parse_config reads back as an equal configuration. Salts, addresses and
        keys are replaced by asterisks."""
        data: dict[str, Any] = escape(self.model_dump(mode="json"))
        return data


MOST_NAMES = 20
"""Tables that an error lists."""


class _File(SyncConfig):
    """The file as written, for editors: with `defaults:` and the deprecated keys."""

    defaults: TableDefaults | None = None
    """Values for keys that a table does not set itself."""
    max_rejected_rows: FromZero = Field(default=10_000, deprecated=True)
    """Deprecated: write it under `defaults:`."""


def parse_config(
    data: object,
    *,
    file: str,
    env: Mapping[str, str],
    lines: Mapping[Path, int] | None = None,
    found: Iterable[tuple[Path, str]] = (),
) -> SyncConfig:
    """The configuration in `data`, with `${VAR}` taken from `env`.

    file and lines (key path → line, from 1) serve the messages. found: problems that reading the YAML showed.
    Raises ConfigError with every problem.
    """
    problems = Problems(file, lines or {})
    for path, message in found:
        problems.add(path, message)
    if not isinstance(data, Mapping):
        problems.add(
            (),
            "is not a mapping — start with `tables:`, each entry with source, target, watermark_column",
        )
        raise problems.error()
    data = {key: value for key, value in data.items() if not str(key).startswith(EXTENSION)}
    expanded = expand(data, env, report=problems.add)
    top = {key: value for key, value in expanded.items() if key not in ("defaults", "tables", *MOVED)}
    tables = _tables(expanded.get("tables"), table_defaults(expanded, problems), problems)
    parsed = [problems.validate(TableConfig, table, ("tables", at)) for at, table in tables.items()]
    at_once = expanded.get("consistency") == str(Consistency.TICK)
    check_tables(tables, problems, budget=expanded.get("budget") is not None, at_once=at_once)
    config = problems.validate(SyncConfig, {**top, "tables": []}, ())
    if problems or config is None:
        raise problems.error()
    return config.with_tables(filter(None, parsed), deprecations(expanded, problems))


def _tables(given: object, defaults: Mapping[str, Any], problems: Problems) -> dict[int, dict[str, Any]]:
    """Each entry that is a mapping, by its index in the file, with defaults for what it does not set."""
    if not isinstance(given, (list, tuple)) or not given:
        problems.add(("tables",), "names no table — list at least one, with source, target, watermark_column")
        return {}
    found = {}
    for at, table in enumerate(given):
        if isinstance(table, Mapping):
            found[at] = {**defaults, **table}
            if "deletes" not in table and found[at].get("mode") == str(TableMode.APPEND):
                found[at].pop("deletes", None)  # a default is for the tables to which it can apply
        else:
            problems.add(("tables", at), "is not a mapping — write source, target and watermark_column")
    return found


def _is_named(asked: str, table: TableConfig) -> bool:
    if asked in (table.name, str(table.source), table.target):
        return True
    try:
        return SourceName.parse(asked) == table.source or TargetName.parse(asked) == TargetName.parse(
            table.target
        )
    except ValueError:
        return False


def _unknown(missing: Sequence[str], tables: Sequence[TableConfig]) -> ConfigError:
    lines = []
    for name in missing:
        close = _closest(name, tables)
        lines.append(f"no table {name!r} is configured{f' — did you mean {close}?' if close else ''}")
    known = [table.name for table in tables]
    more = f" and {len(known) - MOST_NAMES} more" if len(known) > MOST_NAMES else ""
    return ConfigError(lines, advice=f"Configured tables: {', '.join(known[:MOST_NAMES])}{more}.")


def _closest(name: str, tables: Sequence[TableConfig]) -> str | None:
    """The table whose name, source or target is most like this one, with or without the schema, whatever the case."""
    spellings: dict[str, str] = {}
    for table in tables:
        for full in (table.name, str(table.source), table.target):
            for part in (full, full.rpartition(".")[2]):
                spellings.setdefault(part.lower(), table.name)
    wanted = name.lower()
    close = [
        *get_close_matches(wanted, spellings, n=1),
        *get_close_matches(wanted.rpartition(".")[2], spellings, n=1),
    ]
    return spellings[close[0]] if close else None


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of sync_config.yaml, for editors."""
    return schema_of(_File)
