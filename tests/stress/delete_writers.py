"""Writers that delete rows in every way in which rows disappear from a table."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import ClassVar

import psycopg

from tests.stress.delete_tables import BY_NAME, CHILD, KINDS, PARENT, TEXTS, TREE, UUIDS, Kind
from tests.stress.writers import CLOCKS, Writer

SHARED = 2000
"""Numbers up to this one are written by all writers; each has others of its own."""
CAN_BE_EMPTIED = (UUIDS, TEXTS, CHILD)
FIRST_REGION = 1000
"""Regions from this one on have a partition that one writer creates, and detaches or drops."""


@dataclass
class DeletingWriter(Writer):
    """One session. Every transaction is a random mix of what is risky for a search of deleted rows."""

    numbers: dict[str, int] = field(default_factory=dict)
    """Table → the last number of this writer's own that it has used there."""
    regions: int = 0

    expected: ClassVar[tuple[type[Exception], ...]] = (
        *Writer.expected,
        psycopg.errors.UniqueViolation,
        psycopg.errors.ForeignKeyViolation,
        psycopg.errors.CheckViolation,
        psycopg.errors.UndefinedTable,
        psycopg.errors.ObjectInUse,
        psycopg.errors.SerializationFailure,
    )

    def write(self) -> None:
        kind = self.random.choice(KINDS)
        acts, weights = zip(*WEIGHTS, strict=True)
        (act,) = self.random.choices(acts, weights)
        act(self, kind)

    def own(self, kind: Kind) -> tuple[int, int]:
        """The first and the last of this writer's own numbers in the table; the first is greater if there is none."""
        return self.first + 1, self.numbers.get(kind.name, self.first)

    def chosen(self, kind: Kind, most: int) -> tuple[int, int]:
        """A few adjacent numbers: shared ones, or own ones."""
        first, last = self.own(kind)
        if self.random.random() < 0.2 or last < first:
            first, last = 1, SHARED
        start = self.random.randint(first, last)
        return start, min(start + self.random.randint(0, most - 1), last)

    def new(self, kind: Kind, count: int) -> tuple[int, int]:
        last = self.own(kind)[1]
        self.numbers[kind.name] = last + count
        return last + 1, last + count

    def clock(self) -> str:
        return self.random.choice(CLOCKS)

    def put(self, kind: Kind, first: int, last: int) -> None:
        """Insert these rows, or write those that are there again."""
        clock, value = self.clock(), self.random.getrandbits(40)
        watermark = "null" if self.random.random() < 0.02 else clock
        columns, sources, expressions = f"{kind.key_columns}, n, v, updated_at", "", [*kind.key.values()]
        parent = ""
        if kind.name == CHILD:
            columns, parent = columns + ", parent", ", p.id"
            sources = (
                f" cross join (select id from {PARENT} where n >= {self.chosen(BY_NAME[PARENT], 1)[0]}"
                " order by n limit 1) p"
            )
        self.conn.execute(
            f"insert into {kind.name} ({columns}) select {', '.join(expressions)}, g, {value}, {watermark}{parent}"
            f" from generate_series({first}::bigint, {last}) g{sources}"
            f" on conflict ({kind.key_columns}) do update set v = excluded.v, updated_at = {clock}".encode()
        )

    def insert(self, kind: Kind) -> None:
        shared = self.random.random() < 0.2
        count = self.random.choice([1, 1, 3, 40])
        self.put(kind, *(self.chosen(kind, 5) if shared else self.new(kind, count)))

    def update(self, kind: Kind) -> None:
        first, last = self.chosen(kind, 3)
        self.conn.execute(
            f"update {kind.name} set v = {self.random.getrandbits(40)}, updated_at = {self.clock()}"
            f" where n between {first} and {last}".encode()
        )

    def delete(self, kind: Kind) -> None:
        first, last = self.chosen(kind, self.random.choice([1, 1, 5, 100]))
        self.conn.execute(f"delete from {kind.name} where n between {first} and {last}".encode())

    def delete_and_put(self, kind: Kind) -> None:
        """The same keys, in one transaction or in the next one."""
        first, last = self.chosen(kind, 5)
        self.conn.execute(f"delete from {kind.name} where n between {first} and {last}".encode())
        if self.random.random() < 0.5:
            self.next_transaction()
        self.put(kind, first, last)

    def put_and_delete(self, kind: Kind) -> None:
        """Rows that live shortly: a read may see them, or not."""
        first, last = self.new(kind, 3)
        self.put(kind, first, last)
        self.next_transaction()
        self.conn.execute(f"delete from {kind.name} where n between {first} and {last}".encode())

    def change_key(self, kind: Kind) -> None:
        """To a new one; sometimes to one that was deleted before."""
        old = self.chosen(kind, 1)[0]
        new = self.new(kind, 1)[0] if self.random.random() < 0.6 else self.chosen(kind, 1)[0]
        self.renumber(kind, old, new)

    def exchange_keys(self, kind: Kind) -> None:
        """Two rows take each other's key, by way of a third one."""
        one, other = self.chosen(kind, 1)[0], self.chosen(kind, 1)[0]
        free = -self.new(kind, 1)[0]
        for old, new in ((one, free), (other, one), (free, other)):
            self.renumber(kind, old, new)

    def renumber(self, kind: Kind, old: int, new: int) -> None:
        keys = ", ".join(kind.key.values())
        self.conn.execute(
            f"update {kind.name} set ({kind.key_columns}, n, v, updated_at) = (select {keys}, g,"
            f" {self.random.getrandbits(40)}, {self.clock()} from (select {new}::bigint as g) s)"
            f" where n = {old}".encode()
        )

    def move(self, kind: Kind) -> None:
        """Rows go to another partition, which deletes them in one leaf and inserts them in another."""
        first, last = self.chosen(BY_NAME[TREE], 5)
        self.conn.execute(
            f"update {TREE} set region = (region + 1) % 4, v = {self.random.getrandbits(40)},"
            f" updated_at = {self.clock()} where n between {first} and {last} and region < 4".encode()
        )

    def empty(self, kind: Kind) -> None:
        if kind.name in CAN_BE_EMPTIED:
            self.wait_for_the_table()
            self.conn.execute(f"truncate {kind.name}".encode())
            if self.random.random() < 0.7:
                self.put(kind, *self.new(kind, 40))

    def add_leaf(self, kind: Kind) -> None:
        self.wait_for_the_table()
        self.regions += 1
        region = FIRST_REGION + self.seed * 1000 + self.regions
        first, last = self.new(BY_NAME[TREE], 30)
        self.conn.execute(
            f"create table {TREE}_{region} partition of {TREE} for values in ({region})".encode()
        )
        self.conn.execute(
            f"insert into {TREE} select g, {region}, g, {self.random.getrandbits(40)}, {self.clock()}"
            f" from generate_series({first}::bigint, {last}) g".encode()
        )

    def remove_leaf(self, kind: Kind) -> None:
        """Drop or detach a partition with its rows."""
        first = FIRST_REGION + self.seed * 1000
        found = self.conn.execute(
            "select relid::regclass::text from pg_partition_tree(%s) where isleaf and"
            " regexp_replace(relid::regclass::text, '.*_', '')::bigint between %s and %s limit 1",
            [TREE, first, first + 999],
        ).fetchone()
        if found is None:
            return
        self.wait_for_the_table()
        self.conn.execute(f"lock table {TREE} in access exclusive mode".encode())
        self.conn.execute(
            f"insert into life (t, key, alive) select '{TREE}', array[id::text, region::text], false"
            f" from {found[0]}".encode()
        )
        how = "drop table {0}" if self.random.random() < 0.5 else f"alter table {TREE} detach partition {{0}}"
        self.conn.execute(how.format(found[0]).encode())

    def wait_for_the_table(self) -> None:
        """Wait longer for a lock, as a migration does that has to have the whole table."""
        self.conn.execute("set local lock_timeout to 1500")

    def pause(self) -> None:
        chance = self.random.random()
        if chance < 0.015:
            time.sleep(self.random.uniform(1, 6))
        elif chance < 0.3:
            time.sleep(self.random.expovariate(1 / 0.02))

    def next_transaction(self) -> None:
        """Commit, pause and go on in another transaction; nothing inside a savepoint."""
        if self.inside:
            return
        self.conn.commit()
        if self.pooled:
            self.conn.execute(self.settings.encode())
        self.pause()


WEIGHTS = (
    (DeletingWriter.insert, 40), (DeletingWriter.update, 20), (DeletingWriter.delete, 12),
    (DeletingWriter.delete_and_put, 8), (DeletingWriter.put_and_delete, 4), (DeletingWriter.change_key, 6),
    (DeletingWriter.exchange_keys, 2), (DeletingWriter.move, 4), (DeletingWriter.empty, 0.4),
    (DeletingWriter.add_leaf, 0.5), (DeletingWriter.remove_leaf, 0.5),
)  # fmt: skip
