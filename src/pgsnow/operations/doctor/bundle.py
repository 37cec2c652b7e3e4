"""Collects the files of a bug report. Each is made on its own: one that cannot be made says why."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from pgsnow import __version__
from pgsnow.ledger.ledger import Ledger
from pgsnow.model.config.sync_config import SyncConfig
from pgsnow.model.errors import ConfigError, PgsnowError
from pgsnow.model.settings.redaction import secrets_in
from pgsnow.model.settings.settings import Settings
from pgsnow.model.unexpected import public_text
from pgsnow.operations.doctor.masking import VALUE, masked, masked_table_list, without_values
from pgsnow.operations.status.log import log_of
from pgsnow.operations.status.table_status import table_statuses

if TYPE_CHECKING:
    from pgsnow.model.settings.secret import Secret

PACKAGES = (
    "psycopg", "psycopg-binary", "pyarrow", "numpy", "snowflake-connector-python", "pydantic", "structlog", "tenacity",
    "typer", "rich", "requests", "celery", "redis", "kombu", "fastapi", "starlette", "jinja2", "uvicorn", "boto3",
)  # fmt: skip
RUNS = 100
"""Newest runs in the report; as many failed ones are added."""
_VARIABLES = re.compile(r"(POSTGRES|PG|LEDGER|SNOWFLAKE|S3|AWS|CELERY|PGSNOW)\w*\Z")
"""Names of variables that may be settings."""
_DATA = frozenset({"last_watermark", "certificates", "differences", "why", "stale_reason", "verification"})
"""Fields that hold values of rows, or keys."""


@dataclass(frozen=True, slots=True)
class Part:
    """One file of the report. error: why it could not be made, "" if it could."""

    name: str
    text: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class Patient:
    """The subject of a report: the table list's file, every variable, and what could be loaded from both."""

    file: Path | None
    variables: Mapping[str, str]
    load: Callable[[], tuple[SyncConfig, Settings]]

    def secrets(self) -> tuple[Secret, ...]:
        """Every secret that is known, also where the settings are wrong."""
        found = secrets_in(self.variables)
        try:
            return (*found, *self.load()[1].secrets())
        except PgsnowError:
            return found


def bundle(patient: Patient, now: datetime, *, checks: bool = True, runs: int = RUNS) -> Iterator[Part]:
    """The files, one after the other. checks: also run `pgsnow check`, which connects to both sides."""
    secrets = patient.secrets()

    def part(name: str, make: Callable[[], Any]) -> Part:
        try:
            document, error = make(), ""
        except Exception as failure:
            document, error = _failure(failure), public_text(failure)
        return Part(name, _text(name, masked(document, secrets)), without_values(str(masked(error, secrets))))

    yield part("about.json", lambda: about(now))
    yield part("sync_config.yaml", lambda: _table_list(patient.file, secrets))
    yield part("variables.json", lambda: _names_of(patient.variables))
    if checks:
        yield part("check.json", lambda: _without_values(_checks(patient)))
    try:
        config, settings = patient.load()
    except PgsnowError:
        return  # the part about the table list or the checks says why
    ledger = Ledger(settings.ledger, config.ledger_schema)
    try:
        if not checks:
            yield part("check.json", lambda: _saved_check(ledger))
        yield part("status.json", lambda: _status(config, ledger, now))
        yield part("runs.json", lambda: _runs(ledger, runs))
        yield part("rejected.json", lambda: _rejected(ledger))
        yield part("workers.json", lambda: _workers(ledger))
    finally:
        ledger.close()


def about(now: datetime) -> dict[str, Any]:
    """Versions of everything that is involved on this machine."""
    return {
        "made_at": now.astimezone(UTC),
        "pgsnow": __version__,
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": platform.platform(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _table_list(file: Path | None, secrets: tuple[Secret, ...]) -> Any:
    if file is None:
        raise ConfigError("no table list was found", advice="Name it with --config FILE.")
    try:
        return masked_table_list(yaml.safe_load(file.read_text("utf-8")), secrets)
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"the table list cannot be read: {type(error).__name__}") from None


def _names_of(variables: Mapping[str, str]) -> dict[str, str]:
    """The names of the settings' variables; of their values only whether they are empty."""
    return {
        name: "set" if value else "empty"
        for name, value in sorted(variables.items())
        if _VARIABLES.match(name)
    }


def _checks(patient: Patient) -> list[dict[str, Any]]:
    """The results of all checks, which connect to both sides."""
    from pgsnow.operations.check.check import run_checks

    config, settings = patient.load()
    return [one.to_json() for one in run_checks(config, settings)]


def _saved_check(ledger: Ledger) -> Any:
    """The result of the last `pgsnow check`; None: there was none."""
    saved = ledger.checks.latest()
    return None if saved is None else _without_values(asdict(saved))


def _status(config: SyncConfig, ledger: Ledger, now: datetime) -> dict[str, Any]:
    rows = ledger.run_log.watermarks()
    tables = []
    for status in table_statuses(config, config.tables, rows, now):
        record = _without_data(status.record())
        row = {} if status.row is None else _without_data(status.row._asdict())
        error = record.get("last_error")
        tables.append({**row, **record, "last_error": error and without_values(error)})
    unlisted = {row.source_table for row in rows} - {table.name for table in config.tables}
    log = log_of(config, ledger)
    return {
        "tables": tables,
        "not_in_the_table_list": sorted(unlisted),
        "log": log.record() if log else None,
    }


def _without_data(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record; of fields that hold values of rows only whether they are empty."""
    return {
        name: (VALUE if value else value) if name in _DATA else _without_values(value)
        for name, value in record.items()
    }


def _without_values(value: Any) -> Any:
    if isinstance(value, str):
        return without_values(value)
    if isinstance(value, Mapping):
        return {key: _without_values(item) for key, item in value.items()}
    return [_without_values(item) for item in value] if isinstance(value, (list, tuple)) else value


def _runs(ledger: Ledger, limit: int) -> dict[str, Any]:
    history = ledger.history
    return {
        "newest": [_without_data(asdict(run)) for run in history.runs(limit=limit)],
        "failed": [_without_data(asdict(run)) for run in history.runs(status="error", limit=limit)],
    }


def _rejected(ledger: Ledger) -> list[dict[str, Any]]:
    """Numbers of open rejected rows by table. Keys, payloads and reasons have values of rows, so they are left out."""
    found: dict[str, dict[str, Any]] = {}
    for count in ledger.rejected_rows.counts():
        sums = found.setdefault(
            count.source_table, {"table": count.source_table, "rows": 0, "stale": 0, "reasons": 0}
        )
        sums["rows"] += count.rows
        sums["stale"] += count.stale
        sums["reasons"] += 1
    return list(found.values())


def _workers(ledger: Ledger) -> dict[str, Any]:
    return {
        "ticks": [asdict(tick) for tick in ledger.ticks.seen()],
        "requests": [_without_values(asdict(request)) for request in ledger.requests.listed()],
    }


def _failure(error: Exception) -> dict[str, Any]:
    known = error if isinstance(error, PgsnowError) else None
    problems = list(error.problems) if isinstance(error, ConfigError) else []
    return {
        "error": without_values(public_text(error)),
        "advice": known.advice if known else "",
        "problems": [without_values(problem) for problem in problems],
    }


def _text(name: str, document: Any) -> str:
    if name.endswith(".yaml"):
        return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
