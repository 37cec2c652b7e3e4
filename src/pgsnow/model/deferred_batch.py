"""Staged load batches as the ledger stores them, with everything needed to load them under a later plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

from pgsnow.model.batch import KeyBounds
from pgsnow.model.config.table_config import TableConfig
from pgsnow.model.log.changes import ChangeKinds
from pgsnow.model.plan import TablePlan
from pgsnow.model.table import TargetName
from pgsnow.model.types.mapping import Field, TypeMapping

MOST_BATCHES = 500
"""Load batches that one statement loads; also those of one transaction."""
MOST_TEXT = 600_000
"""Bytes that the SELECTs of one statement may take. Snowflake accepts 1 MB of SQL text (Snowflake docs, "Query size
limits"); the rest of the statement has each column up to nine times."""
MOST_OF_A_PATH = 1_000
"""Bytes of a batch's folder in SQL, and of what stands around it."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The target and the columns of the files, with everything that COPY and MERGE need to know about them."""

    target: TargetName
    columns: tuple[Field, ...]

    @classmethod
    def of(cls, plan: TablePlan) -> Layout:
        key = set(plan.pk)
        return cls(
            plan.target,
            tuple(
                _column(f.target, f.type.snowflake, f.type.staged, f.type.merge, f.source in key)
                for f in plan.output
            ),
        )

    @property
    def key(self) -> tuple[Field, ...]:
        """The columns that rows are merged by."""
        return tuple(column for column in self.columns if column.key)

    @property
    def most_batches(self) -> int:
        """How many batches of this layout one statement can read, so that its text is not too long."""
        columns = sum(2 * len(c.target.encode()) + len(c.type.staged) + 20 for c in self.columns)
        return max(1, min(MOST_BATCHES, MOST_TEXT // (MOST_OF_A_PATH + columns)))

    def to_json(self) -> dict[str, Any]:
        return {
            "target": [self.target.database, self.target.schema, self.target.table],
            "columns": [
                [f.target, f.type.snowflake, f.type.staged, f.type.merge, f.key] for f in self.columns
            ],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Layout:
        return cls(TargetName(*data["target"]), tuple(_column(*column) for column in data["columns"]))


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file in `log_spool_dir`. size: bytes. sha256: of its content, as hexadecimal digits."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class KeptFiles:
    """The files of a batch that are in `log_spool_dir`, as nothing else could take them. spool: the identifier of that
    folder."""

    spool: str
    files: tuple[KeptFile, ...]

    def to_json(self) -> dict[str, Any]:
        return {"spool": self.spool, "files": [[*astuple(file)] for file in self.files]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> KeptFiles:
        return cls(data["spool"], tuple(KeptFile(*file) for file in data["files"]))


@dataclass(frozen=True, slots=True)
class StagedBatch:
    """One load batch that is staged and not loaded yet.

    first_row: as in LoadBatch, counted over all waiting batches. size: bytes. place: the stage that holds its files, by
    the value of `load` that chooses it. bounds: of its rows' keys; None: not known, as in rows of older versions.
    once: no earlier read has read a row of it, so that with `insert_only` it may be copied without a MERGE. changes:
    as in LoadBatch. kept: the files are not in the stage yet; None: they are.
    """

    batch: str
    fence: int
    rows: int
    size: int
    first_row: int
    place: str
    layout: Layout
    bounds: KeyBounds | None = None
    once: bool = False
    changes: ChangeKinds | None = None
    kept: KeptFiles | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "batch": self.batch,
            "fence": self.fence,
            "rows": self.rows,
            "size": self.size,
            "first_row": self.first_row,
            "place": self.place,
            "layout": self.layout.to_json(),
        } | self._later()

    def _later(self) -> dict[str, Any]:
        """Fields that earlier versions do not know, if they are set."""
        bounds = {"bounds": [*astuple(self.bounds)]} if self.bounds else {}
        changes = {"changes": self.changes.to_json()} if self.changes is not None else {}
        kept = {"kept": self.kept.to_json()} if self.kept is not None else {}
        return bounds | changes | kept | ({"once": True} if self.once else {})

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> StagedBatch:
        values = {name: data[name] for name in ("batch", "fence", "rows", "size", "first_row", "place")}
        bounds = KeyBounds(*data["bounds"]) if data.get("bounds") else None
        changes = ChangeKinds.from_json(data["changes"]) if "changes" in data else None
        layout, once = Layout.from_json(data["layout"]), data.get("once", False)
        kept = KeptFiles.from_json(data["kept"]) if "kept" in data else None
        return cls(**values, layout=layout, bounds=bounds, once=once, changes=changes, kept=kept)


def copied_at_once(config: TableConfig, batches: Sequence[StagedBatch]) -> bool:
    """True if these batches, which are all that wait, are copied in one transaction, without a MERGE. (Its record names
    each of them, and one statement cannot name any number.)"""
    return config.insert_only and len(batches) <= MOST_BATCHES and all(batch.once for batch in batches)


def in_loads(batches: Sequence[StagedBatch], most: int) -> list[list[StagedBatch]]:
    """Consecutive batches that one MERGE can apply together: equal layouts, at most `most` rows, unless a single
    batch has more, and no more SQL text than a statement may have. Columns that did not change keep the values that the
    target has before the MERGE, so a batch with such rows, or one that truncates, begins another one."""
    loads: list[list[StagedBatch]] = []
    for batch in batches:
        last = loads[-1] if loads else []
        fits = last and last[0].layout == batch.layout and sum(b.rows for b in last) + batch.rows <= most
        fits = fits and len(last) < batch.layout.most_batches
        if batch.changes is not None and (batch.changes.unchanged or batch.changes.truncates):
            fits = False
        if fits:
            last.append(batch)
        else:
            loads.append([batch])
    return loads


def _column(target: str, snowflake: str, staged: str, merge: str, key: bool) -> Field:
    """A field for a column of a file. Its types in Postgres and Arrow do not matter any more."""
    return Field(target, target, TypeMapping("", "", "null", snowflake, staged, merge), key=key)
