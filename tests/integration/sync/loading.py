"""A table's destination, in memory or in the emulator, with a ledger in Postgres: loads batches without a source."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pyarrow as pa

from pgsnow.ledger.claim import Claim
from pgsnow.model.batch import LoadBatch, Page
from pgsnow.model.log.changes import PageChanges
from pgsnow.model.metadata_columns import DELETED_AT_COLUMN
from pgsnow.model.plan import TablePlan
from pgsnow.snowflake.session import connect
from pgsnow.sync.engine import Engine
from pgsnow.sync.load.claimed_table import ClaimedTable
from pgsnow.sync.load.destination import Destination, destination_of
from pgsnow.sync.pipeline.change_files import write_changes
from pgsnow.sync.pipeline.load_batches import batch_name
from pgsnow.sync.pipeline.parquet import PartWriter
from pgsnow.sync.runtime.events import Event, ignore
from pgsnow.sync.runtime.recorder import Recorder
from tests.unit.model.evolving import column, plan_of, table
from tests.world import MemoryWorld, World

Row = tuple[int, str | None]


class Loading:
    """Claims of one table, each with a destination of its own. Files through the stage, whatever their size."""

    def __init__(self, world: World, engine: Engine, name: str = "things") -> None:
        self.world = world
        self.name = name
        self.source = f"public.{name}"
        self._engine = engine
        self._claims: Sequence[Claim] = ()
        self.plan = self.plan_with()

    def plan_with(self, **config: Any) -> TablePlan:
        """The plan of a table with a key `id`, a watermark `at` and a text `name`."""
        target = f"{self.world.settings.snowflake.database}.ANALYTICS.{self.name.upper()}"
        plan = plan_of(table(column(3, "name", "text")), target=target, **{"load": "stage"} | config)
        named = plan.config.model_copy(update={"source": type(plan.config.source)("public", self.name)})
        return replace(plan, config=named)

    def claim(self) -> Claim:
        """A new claim; that of an earlier run is at an end."""
        leases = self._engine.ledger.leases
        leases.release(self._claims)
        self._claims, _ = leases.claim([self.source], run_id="run", holder="test")
        return self._claims[0]

    def run(self, claim: Claim | None = None, observer: Callable[[Event], None] = ignore) -> Run:
        """A run of the table, by default under a new claim."""
        return Run(self, self._engine, claim or self.claim(), observer)

    def rows(self) -> list[Row]:
        """Id and name of every row of the target, in order."""
        if isinstance(self.world, MemoryWorld):
            found = [(row["ID"], row["NAME"]) for row in self.world.target(f"analytics.{self.name}").rows]
        else:
            found = [
                (int(at), name)
                for at, name in self.world.snowflake(f"SELECT ID, NAME FROM ANALYTICS.{self.name}")
            ]
        return sorted(found, key=str)

    def marked(self) -> list[int]:
        """Ids of the rows that are marked as deleted, in order."""
        if isinstance(self.world, MemoryWorld):
            rows = self.world.target(f"analytics.{self.name}").rows
            return sorted(row["ID"] for row in rows if row[DELETED_AT_COLUMN] is not None)
        where = f'"{DELETED_AT_COLUMN}" IS NOT NULL'
        found = self.world.snowflake(f"SELECT ID FROM ANALYTICS.{self.name} WHERE {where} ORDER BY 1")
        return [int(at) for (at,) in found]

    def exists(self) -> bool:
        """True if the target is there."""
        if isinstance(self.world, MemoryWorld):
            return bool(self.world.warehouse.tables)
        found = "SELECT 1 FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = 'ANALYTICS' AND TABLE_NAME = 'THINGS'"
        return bool(self.world.snowflake(found))

    def drop(self) -> None:
        if isinstance(self.world, MemoryWorld):
            self.world.drop(f"analytics.{self.name}")
        else:
            self.world.snowflake(f"DROP TABLE ANALYTICS.{self.name}")

    def lose_files(self) -> None:
        """Remove what is staged, as a lifecycle rule would."""
        if isinstance(self.world, MemoryWorld):
            self.world.warehouse.staged.clear()
        else:
            self.world.snowflake("REMOVE @ANALYTICS.PGSNOW_STAGE/")

    def leftovers(self) -> list[str]:
        """Staging tables, shadow tables and staged files."""
        if isinstance(self.world, MemoryWorld):
            return self.world.leftovers()
        from pgsnow.snowflake.load.cleanup import list_orphans

        with connect(self.world.settings.snowflake, query_tag="test") as session:
            left = list_orphans(session, self.plan.target)
        waiting = {f"{batch}/" for (batch,) in self.world.sql("select batch from sync_loaded_files")}
        return [found for found in left if found not in waiting]


class Run:
    """One run: its claim, its destination, and batches that it writes."""

    def __init__(
        self, loading: Loading, engine: Engine, claim: Claim, observer: Callable[[Event], None]
    ) -> None:
        self.plan = loading.plan
        self.table = ClaimedTable(engine.ledger, claim)
        self.recorder = Recorder(loading.source, str(self.plan.target), claim.run_id, observer)
        self.destination: Destination = destination_of(engine._context, self.plan, self.table, self.recorder)
        self._folder = loading.world.folder
        self._written = 0

    def batch(self, number: int, *rows: Row, fence: int | None = None) -> LoadBatch:
        """The run's batch of this number, with these rows in order. fence: another one than the run's."""
        folder: Path = self._folder / f"{self.table.claim.fence}-{number}-{self._written}"
        folder.mkdir()
        hashed = str(self.plan.config.mode) == "append"
        writer = PartWriter(folder, self.plan.output, first_row=self._written, hashed=hashed)
        writer.write(_record_batch(self.plan, rows))
        name = batch_name(self.plan, self.table.claim.fence, number)
        made = LoadBatch(name, fence or self.table.claim.fence, writer.finish(), self._written)
        self._written += len(rows)
        return made

    def changes(self, number: int, changes: Changes) -> LoadBatch:
        """The run's batch of this number, with these changes."""
        folder = Path(mkdtemp(dir=self._folder))
        writer = PartWriter(
            folder,
            self.plan.output,
            first_row=self._written,
            changes_of=self.plan.key,
            bounded=self.plan.bounded,
        )
        for page in changes.pages(self.plan):
            write_changes(
                writer, self.plan, page.rows, None, page.changes or PageChanges(pa.array([], pa.int64()))
            )
        name, fence = batch_name(self.plan, self.table.claim.fence, number), self.table.claim.fence
        made = LoadBatch(name, fence, writer.finish(), self._written, writer.bounds, writer.kinds)
        self._written += made.rows
        return made


@dataclass(frozen=True)
class Changes:
    """Changes of one load batch. upserts: the rows; without a name, it did not change. moved: id → the id before.
    deleted: ids. after: changes of a later page."""

    upserts: Sequence[Row] = ()
    moved: Mapping[int, int] = field(default_factory=dict)
    deleted: Sequence[int] = ()
    truncates: bool = False
    after: Changes | None = None

    def pages(self, plan: TablePlan) -> Iterator[Page]:
        """The pages, in order."""
        name = [f.source for f in plan.fields].index("name")
        unchanged = [f".{name}." if value is None else None for _, value in self.upserts]
        former = pa.array([self.moved.get(at) for at, _ in self.upserts], pa.int64())
        key = plan.key[0]
        made = PageChanges(
            commits=pa.array(range(len(self.upserts)), pa.int64()),
            unchanged=pa.array(unchanged, pa.string()) if any(unchanged) else None,
            moved=pa.record_batch([former.cast(key.type.arrow)], names=[key.source]) if self.moved else None,
            deleted=pa.record_batch([pa.array(self.deleted, key.type.arrow)], names=[key.source]),
            deleted_commits=pa.array(range(len(self.deleted)), pa.int64()),
            truncates=self.truncates,
        )
        yield Page(_record_batch(plan, self.upserts), changes=made)
        if self.after is not None:
            yield from self.after.pages(plan)


def _record_batch(plan: TablePlan, rows: Sequence[Row]) -> pa.RecordBatch:
    columns: dict[str, list[Any]] = {
        "ID": [row[0] for row in rows],
        "AT": [None] * len(rows),
        "NAME": [row[1] for row in rows],
    }
    arrays = [pa.array(columns[f.target], f.type.arrow) for f in plan.output]
    return pa.RecordBatch.from_arrays(arrays, [f.target for f in plan.output])
