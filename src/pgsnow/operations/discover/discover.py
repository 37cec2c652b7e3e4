"""Makes a table list for a database: survey the tables, choose, propose entries, write the file."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import psycopg

from pgsnow.config.edit import Listed, merge
from pgsnow.model.discovery.proposal import Proposal, propose
from pgsnow.model.discovery.survey import SurveyedTable
from pgsnow.model.errors import ConfigError, PgsnowError
from pgsnow.model.settings.secret import Secret
from pgsnow.model.settings.settings import PostgresSettings
from pgsnow.model.table import SourceName
from pgsnow.operations.command_sessions import as_known
from pgsnow.operations.discover.left_out import LeftOut, left_out, without_ledgers
from pgsnow.postgres.catalog.obstacles import with_obstacle
from pgsnow.postgres.catalog.profile import profile
from pgsnow.postgres.catalog.survey import survey
from pgsnow.postgres.connection import Source


@dataclass(frozen=True, slots=True)
class Choice:
    """Selection of tables. Patterns are those of a shell (`*`, `?`, `[a-z]`), matched against `schema.table`
    if they hold a dot, else against the table's name. Empty: all."""

    schemas: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def __contains__(self, name: SourceName) -> bool:
        if self.schemas and name.schema not in self.schemas:
            return False
        if self.include and not _matches(name, self.include):
            return False
        return not _matches(name, self.exclude)


def _matches(name: SourceName, patterns: Iterable[str]) -> bool:
    full = f"{name.schema}.{name.table}"
    return any(fnmatchcase(full if "." in pattern else name.table, pattern) for pattern in patterns)


@dataclass(frozen=True, slots=True)
class Discovery:
    """The result: a proposal for each chosen table, and the chosen relations for which none was made."""

    proposals: tuple[Proposal, ...]
    left_out: tuple[LeftOut, ...] = ()
    failures: tuple[tuple[SourceName, PgsnowError], ...] = ()
    """Tables that could not be profiled; they are proposed by the catalog's estimates."""


def discover(
    settings: PostgresSettings,
    choice: Choice,
    *,
    scan: bool = False,
    views: bool = False,
    target_schema: str | None = None,
    known: Listed | None = None,
) -> tuple[Proposal, ...]:
    """The proposals of `survey_and_propose`."""
    found = survey_and_propose(
        settings, choice, scan=scan, views=views, target_schema=target_schema, known=known
    )
    return found.proposals


def survey_and_propose(
    settings: PostgresSettings,
    choice: Choice,
    *,
    scan: bool = False,
    views: bool = False,
    target_schema: str | None = None,
    known: Listed | None = None,
) -> Discovery:
    """A proposal for each chosen table, by schema and name; pgsnow's own tables are left out.

    scan: read each table once, for exact figures instead of the catalog's estimates. views: propose views too; without
    it only those that are listed already, or named exactly in `choice.include`. Writes nothing. Raises
    SourceUnavailable, SourceAccessDenied, and ConfigError for a schema that is not there.
    """
    known = known or Listed()
    source, failures = Source(settings), list[tuple[SourceName, PgsnowError]]()
    try:
        with source.connect() as conn:
            chosen = _chosen(survey(conn, choice.schemas), choice)
            others = left_out(chosen, views=views, wanted={*choice.include, *known.sources})
            unasked = {each.name for each in others}
            tables = [with_obstacle(conn, table) for table in chosen if table.name not in unasked]
            if scan:
                tables, failures = _profiled(conn, tables, settings)
    finally:
        source.close()
    found = propose(
        [t for t in tables if str(t.name) not in known.sources],
        target_schema=target_schema,
        taken=known.targets,
    )
    by_name = {proposal.name: proposal for proposal in found}
    listed = propose([t for t in tables if str(t.name) in known.sources], target_schema=target_schema)
    by_name |= {proposal.name: proposal for proposal in listed}
    return Discovery(tuple(by_name[table.name] for table in tables), others, tuple(failures))


def _profiled(
    conn: psycopg.Connection, tables: Sequence[SurveyedTable], settings: PostgresSettings
) -> tuple[list[SurveyedTable], list[tuple[SourceName, PgsnowError]]]:
    """The tables, profiled where that succeeds, and the errors of the others. Raises SourceUnavailable once the
    connection is lost."""
    done, failures = [], []
    for table in tables:
        try:
            done.append(profile(conn, table))
        except Exception as error:  # a failure of one table, of any kind, must not hide the others
            if conn.closed:
                raise
            done.append(table)
            secrets = [value for _, value in settings.parameters if isinstance(value, Secret)]
            failures.append((table.name, as_known(error, secrets, str(table.name))))
    return done, failures


def schemas_of(settings: PostgresSettings) -> tuple[str, ...]:
    """Schemas that hold tables, by name. Raises SourceUnavailable, SourceAccessDenied."""
    source = Source(settings)
    try:
        with source.connect() as conn:
            tables = _chosen(survey(conn), Choice())
    finally:
        source.close()
    return tuple(sorted({table.name.schema for table in tables}))


def _chosen(everything: Sequence[SurveyedTable], choice: Choice) -> list[SurveyedTable]:
    tables = without_ledgers(everything)
    there = {table.name.schema for table in tables}
    if missing := [schema for schema in choice.schemas if schema not in there]:
        raise ConfigError(
            f"no table in schema {', '.join(missing)}",
            advice=f"Schemas with tables: {', '.join(sorted(there)) or 'none'}.",
        )
    return [table for table in tables if table.name in choice]


def write_table_list(file: Path, proposals: Sequence[Proposal], env: Mapping[str, str]) -> bool:
    """Write a new table list, or add to the one in `file`; False if there was nothing to add.

    The file is replaced atomically or left as it was, and the new one loads. Raises ConfigError.
    """
    before = read_text(file)
    after = merge(before, proposals, file=str(file), env=env)
    if after == before:
        return False
    if not before and not any(proposal.entry is not None for proposal in proposals):
        raise ConfigError(
            f"{file}: not written, because no table can be proposed", advice="`pgsnow discover` shows why."
        )
    _replace(file, after)
    return True


def read_text(file: Path) -> str:
    """The file's text with its line ends; '' if there is none. Raises ConfigError."""
    try:
        return file.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read: {type(error).__name__}") from None


def _replace(file: Path, text: str) -> None:
    mode = file.stat().st_mode & 0o777 if file.exists() else 0o644
    where, name = file.resolve(), ""
    try:
        handle, name = tempfile.mkstemp(dir=where.parent, prefix=f".{where.name}.")
        with os.fdopen(handle, "wb") as new:
            new.write(text.encode("utf-8"))
        Path(name).chmod(mode)
        Path(name).replace(where)
    except OSError as error:
        if name:  # the disk is full: leave the file as it was, and nothing beside it
            Path(name).unlink(missing_ok=True)
        raise ConfigError(f"{file}: cannot be written: {error.strerror}") from None
