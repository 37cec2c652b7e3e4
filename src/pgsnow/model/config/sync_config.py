"""sync_config.yaml as frozen values.

`parse_config` takes what YAML gave and returns a SyncConfig, or tells all that is wrong with it at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from pgsnow.model.config.cross_checks import check_tables
from pgsnow.model.config.field_types import FromOne, FromZero, Identifier, Positive
from pgsnow.model.config.interpolation import Path, escape, expand
from pgsnow.model.config.json_schema import schema_of
from pgsnow.model.config.options import Execution, ExecutionChoice
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


Model = TypeVar("Model", bound=BaseModel)


class SyncConfig(BaseModel):
    """The whole file; `default_batch_size`, `max_rejected_rows` and `defaults:` are merged into `tables`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sync_interval_seconds: Positive = 120.0
    """Seconds between two ticks."""
    default_batch_size: FromOne = 1000
    """`batch_size` of tables that set none."""
    parallel_tables: FromOne = 4
    """Busy tables of a tick that are synced at the same time."""
    execution: ExecutionChoice = Execution.SINGLE
    """Who does a tick's work under Celery: one task, or a task for each busy table, on any worker."""
    ledger_schema: Identifier = "public"
    """Postgres schema of pgsnow's own tables (sync_watermarks, sync_errors, sync_logs and others)."""
    log_retention_days: FromOne = 14
    """Days that sync_logs rows are kept."""
    max_rejected_rows: FromZero = 10_000
    """`max_rejected_rows` of tables that set none."""
    task_time_limit_seconds: FromOne = 21_600
    """Seconds after which Celery ends a tick that hangs."""
    tables: tuple[TableConfig, ...]
    """What is synced, one entry a table."""

    @property
    def enabled(self) -> tuple[TableConfig, ...]:
        """Tables without `enabled: false`, in the file's order."""
        return tuple(table for table in self.tables if table.enabled)

    def table(self, name: str) -> TableConfig:
        """The table with this name. Raises ConfigError."""
        for table in self.tables:
            if table.name == name:
                return table
        raise _unknown([name], self.tables)

    def select(self, names: Iterable[str] | None) -> tuple[TableConfig, ...]:
        """Tables by name, source or target, in the file's order; None selects the enabled ones.

        A table that is named is selected even when it is not enabled. Raises ConfigError for unknown names.
        """
        if names is None:
            return self.enabled
        wanted = list(names)
        found = [(asked, table) for asked in wanted for table in self.tables if _is_meant(asked, table)]
        if missing := [asked for asked in wanted if asked not in {name for name, _ in found}]:
            raise _unknown(missing, self.tables)
        chosen = {table.name for _, table in found}
        return tuple(table for table in self.tables if table.name in chosen)

    def check_targets(self, *, database: str, schema: str) -> None:
        """Raises ConfigError when two tables have one target once missing parts come from the settings."""
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
        """Raises ConfigError when an enabled table goes through a bucket and the settings have none."""
        lacking = [table.name for table in self.enabled if table.load is LoadMethod.S3]
        if lacking and not bucket:
            raise ConfigError(
                [
                    f"{name}: load: s3 needs a bucket — set S3_BUCKET, or write load: stage"
                    for name in lacking
                ],
                advice="What the S3_* variables mean: docs/settings.md.",
            )

    def to_data(self) -> dict[str, Any]:
        """Plain data that parse_config reads back as the same config. Salts are left as asterisks."""
        data: dict[str, Any] = escape(self.model_dump(mode="json"))
        return data


class _File(SyncConfig):
    """The file as written, for editors: with `defaults:`."""

    defaults: TableDefaults | None = None
    """Keys for tables that do not set them themselves."""


def parse_config(
    data: object,
    *,
    file: str,
    env: Mapping[str, str],
    lines: Mapping[Path, int] | None = None,
    found: Iterable[tuple[Path, str]] = (),
) -> SyncConfig:
    """The configuration in `data`, `${VAR}` taken from `env`.

    `file` and `lines` (key path → line, from 1) only serve messages; `found` are problems seen while reading.
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
    expanded = expand(data, env, report=problems.add)
    defaults = _defaults(expanded, problems)
    top = {key: value for key, value in expanded.items() if key not in ("defaults", "tables")}
    tables = _tables(expanded.get("tables"), _base(top) | defaults, problems)
    parsed = [_validated(TableConfig, table, ("tables", at), problems) for at, table in tables.items()]
    check_tables(tables, problems)
    config = _validated(SyncConfig, {**top, "tables": []}, (), problems)
    if problems or config is None:
        raise problems.error()
    return config.model_copy(update={"tables": tuple(table for table in parsed if table is not None)})


def _base(top: Mapping[str, Any]) -> dict[str, Any]:
    """What the top level sets for tables; a wrong value is reported there, once, and not merged."""
    base = {}
    for outer, inner in (("default_batch_size", "batch_size"), ("max_rejected_rows", "max_rejected_rows")):
        if outer in top:
            try:
                SyncConfig.model_validate({outer: top[outer], "tables": []})
            except ValidationError:
                continue
            base[inner] = top[outer]
    return base


def _defaults(data: Mapping[str, Any], problems: Problems) -> dict[str, Any]:
    """`defaults:` without its wrong keys, which are reported."""
    given = data.get("defaults")
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        problems.add(("defaults",), "is not a mapping — write keys that every table may have")
        return {}
    before = len(problems)
    _validated(TableDefaults, given, ("defaults",), problems)
    wrong = {path[1] for path in problems.paths[before:] if len(path) > 1}
    return {key: value for key, value in given.items() if key not in wrong}


def _tables(given: object, defaults: Mapping[str, Any], problems: Problems) -> dict[int, dict[str, Any]]:
    """Each entry that is a mapping, by its place, with the defaults it does not set itself."""
    if not isinstance(given, (list, tuple)) or not given:
        problems.add(("tables",), "names no table — list at least one, with source, target, watermark_column")
        return {}
    found = {}
    for at, table in enumerate(given):
        if isinstance(table, Mapping):
            found[at] = {**defaults, **table}
        else:
            problems.add(("tables", at), "is not a mapping — write source, target and watermark_column")
    return found


def _validated(kind: type[Model], data: Mapping[str, Any], path: Path, problems: Problems) -> Model | None:
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        problems.add_all(kind, error, path)
        return None


def _is_meant(asked: str, table: TableConfig) -> bool:
    if asked in (table.name, str(table.source), table.target):
        return True
    try:
        return SourceName.parse(asked) == table.source or TargetName.parse(asked) == TargetName.parse(
            table.target
        )
    except ValueError:
        return False


def _unknown(missing: Sequence[str], tables: Sequence[TableConfig]) -> ConfigError:
    known = [table.name for table in tables]
    lines = []
    for name in missing:
        close = get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"the configured ones are {', '.join(known)}"
        lines.append(f"no table {name!r} is configured — {hint}")
    return ConfigError(lines, advice=f"Configured tables: {', '.join(known)}.")


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of sync_config.yaml, for editors."""
    return schema_of(_File)
