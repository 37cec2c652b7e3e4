"""Load units written by hand: real part files of given rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pgsnow.model.batch import LoadBatch, LoadResult, PartFile
from pgsnow.model.plan import ORDER_COLUMN
from pgsnow.model.table import TargetName
from pgsnow.model.types.mapping import Field
from pgsnow.model.types.type_rules import mapping_named
from pgsnow.snowflake.load.merge import merge_at_once, merge_steps
from pgsnow.snowflake.schema.create import create, create_stage
from pgsnow.snowflake.schema.file_format import FileFormats
from pgsnow.snowflake.schema.schema_objects import SchemaObjects
from pgsnow.snowflake.schema.target_table import Shape, describe, make_fit
from pgsnow.snowflake.session import Session
from pgsnow.snowflake.sql import statements as sql
from pgsnow.snowflake.stage.stage import INTERNAL
from pgsnow.snowflake.statement import execute, result_of

Row = tuple[Any, ...]


def column(name: str, kind: str) -> Field:
    """A field whose names are alike but for the case."""
    return Field(name.lower(), name, mapping_named(kind))


ID = Field("id", "ID", mapping_named("bigint"), nullable=False, key=True)
NAME = column("NAME", "text")
OUTPUT = (ID, NAME)


def write_unit(
    folder: Path,
    output: Sequence[Field],
    rows: Sequence[Row],
    *,
    fence: int,
    number: int = 0,
    rows_per_part: int = 1_000_000,
) -> LoadBatch:
    """The unit `users/<fence>-<number>` with these rows, in as many part files as needed."""
    schema = pa.schema(
        [*(pa.field(f.target, f.type.arrow) for f in output), pa.field(ORDER_COLUMN, pa.int64())]
    )
    folder = folder / f"{fence}-{number}"
    folder.mkdir(parents=True, exist_ok=True)
    parts: list[PartFile] = []
    for start in range(0, len(rows), rows_per_part):
        numbered = [(*row, at) for at, row in enumerate(rows[start : start + rows_per_part], start)]
        columns = [
            pa.array(values, kind.type)
            for values, kind in zip(zip(*numbered, strict=True), schema, strict=True)
        ]
        path = folder / f"part-{len(parts):04d}.parquet"
        pq.write_table(pa.table(columns, schema=schema), path, compression="zstd", use_dictionary=False)
        parts.append(PartFile(path, len(numbered), path.stat().st_size))
    return LoadBatch(f"users/{fence}-{number}", fence, tuple(parts))


def ensure_target(
    session: Session,
    target: TargetName,
    output: tuple[Field, ...],
    key: tuple[Field, ...],
    cached: dict[str, str] | None,
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Make the target fit, as a run does that remembers its columns (None: nothing of them)."""
    shape = Shape(target, output, key)
    if cached is not None and shape.suffices(cached):
        return cached, ()
    created = describe(session, target) is None and create(session, shape, SchemaObjects())
    columns, events = make_fit(session, shape, describe(session, target) or ())
    create_stage(session, target)
    FileFormats().make_fit(session, target, since=0.0, creates=True, is_new=True)
    return columns, (*([f"created table {target}"] if created else []), *events)


def load(
    session: Session,
    target: TargetName,
    output: tuple[Field, ...],
    key: tuple[Field, ...],
    unit: LoadBatch,
    *,
    method: str,
    notify: Callable[[str], None],
) -> LoadResult:
    """Execute the steps that merge the unit: from its files, from bound values, or through a staging table (stage,
    insert). notify: is told of each phase."""
    phases = []
    if method in ("files", "bound"):
        origin = INTERNAL.origin(target, unit.batch) if method == "files" else None
        steps = merge_at_once(target, output, key, unit, origin=origin)
    else:
        steps = merge_steps(target, output, key, unit, method=method)
    for done in execute(session, steps):
        if done.event is not None:
            notify(done.event)
        phases.append(done)
    return result_of(phases)


def load_unit(
    session: Session,
    target: TargetName,
    unit: LoadBatch,
    *,
    output: tuple[Field, ...] = OUTPUT,
    key: tuple[Field, ...] = (ID,),
    method: str = "files",
    notify: Callable[[str], None] = lambda phase: None,
) -> LoadResult:
    """Make the target fit and load the unit."""
    ensure_target(session, target, output, key, None)
    return load(session, target, output, key, unit, method=method, notify=notify)


def rows_of(session: Session, target: TargetName, output: Sequence[Field] = OUTPUT) -> list[Row]:
    """All rows in the order of the first column; JSON is parsed exactly, binaries are bytes."""
    found = [
        tuple(_plain(value, field) for value, field in zip(row, output, strict=True))
        for row in session.execute(sql.select(target, output)).rows
    ]
    return sorted(found, key=lambda row: (row[0] is None, row[0]))


def _plain(value: Any, field: Field) -> Any:
    if isinstance(value, bytearray):
        return bytes(value)
    if field.type.snowflake == "VARIANT" and value is not None:
        return exact_json(value)
    return value


def exact_json(text: str) -> Any:
    """Parsed without losing a digit."""
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)
