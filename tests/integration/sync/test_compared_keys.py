"""Source and target are compared by ranges of any key that the type table allows: both cut the keys alike, and what is
found is what differs."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from psycopg.sql import SQL, Identifier, Literal

from pgsnow.model.key_range import DifferenceKind, Key, KeyRange
from pgsnow.model.plan import TablePlan
from pgsnow.model.report import Status
from pgsnow.postgres.read.snapshot import Snapshot, open_snapshot
from pgsnow.snowflake.session import Session, connect
from pgsnow.sync.compare.compare import compare
from pgsnow.sync.compare.ranges import between
from pgsnow.sync.compare.sides import SourceSide, TargetSide
from tests.examples import rounds
from tests.world import World

ROWS = 48
ROUNDS = rounds(1)
"""More with the profile of `make stress`."""
WORDS = ["", "a", "A", "ä", "Z", "z", "a b", "\U0001f600", "ﬀ", "~", "'\\%", "10", "9", "é", "e\u0301"]
MOMENTS = ["0001-01-01", "1582-10-10 01:02:03.000001", "1969-12-31 23:59:59.999999", "9999-12-31 23:59:59.5"]


def _word(rng: random.Random) -> str:
    return rng.choice(WORDS) + rng.choice(["", rng.choice(WORDS), str(rng.randrange(100))])


def _moment(rng: random.Random) -> str:
    return rng.choice(
        [*MOMENTS, f"20{rng.randrange(10, 99)}-0{rng.randrange(1, 9)}-05 10:00:00.{rng.randrange(100)}"]
    )


def _uuid(rng: random.Random) -> str:
    return f"{rng.choice([0, 2**128 - 1, rng.getrandbits(128)]):032x}"


def _number(rng: random.Random) -> str:
    return rng.choice(["0", "-0.10", "12.5", "7", "-7", f"{rng.uniform(-1e6, 1e6):.2f}"])


def _float(rng: random.Random) -> str:
    return rng.choice(
        ["-0", "0.1", "1e300", "-1e-300", "Infinity", "-Infinity", "NaN", repr(rng.gauss(0, 1e9))]
    )


TYPES: dict[str, tuple[str, Callable[[random.Random], str]]] = {
    "i2": ("int2", lambda rng: str(rng.choice([-32768, 32767, rng.randrange(-50, 50)]))),
    "i4": ("int4", lambda rng: str(rng.choice([-(2**31), 2**31 - 1, rng.randrange(-5000, 5000)]))),
    "i8": ("int8", lambda rng: str(rng.choice([-(2**63), 2**63 - 1, rng.getrandbits(60), rng.randrange(99)]))),
    "od": ("oid", lambda rng: str(rng.choice([0, 4294967295, rng.getrandbits(32)]))),
    "n2": ("numeric(12,2)", _number),
    "n5": ("numeric(30,5)", _number),
    "nw": ("numeric(50,10)", _number),
    "nn": ("numeric", lambda rng: rng.choice([_number(rng), "1.50", "1.5", "1e30"])),
    "f8": ("float8", _float),
    "f4": ("float4", lambda rng: rng.choice(["0.1", "-0", "1e-40", "NaN", str(rng.randrange(99))])),
    "bo": ("bool", lambda rng: rng.choice(["true", "false"])),
    "tx": ("text", _word),
    "tc": ('text collate "C"', _word),
    "vc": ("varchar(40)", _word),
    "ch": ("char(9)", lambda rng: _word(rng)[:9]),
    "nm": ("name", _word),
    "ci": ("citext", _word),
    "en": ("mood", lambda rng: rng.choice(["sad", "ok", "Happy"])),
    "uu": ("uuid", _uuid),
    "by": ("bytea", lambda rng: "\\x" + rng.randbytes(rng.randrange(4)).hex()),
    "bi": ("varbit", lambda rng: rng.choice(["", "0", "1", "10", "01"])),
    "da": ("date", lambda rng: _moment(rng)[:10]),
    "ti": ("time", lambda rng: rng.choice(["00:00", "23:59:59.999999", f"10:00:00.{rng.randrange(1000)}"])),
    "ts": ("timestamp", _moment),
    "tz": ("timestamptz", lambda rng: _moment(rng) + "+00"),
    "iv": ("interval", lambda rng: f"{rng.randrange(50)} days {rng.randrange(50)} hours"),
    "ip": ("inet", lambda rng: f"10.0.{rng.randrange(12)}.{rng.randrange(256)}"),
    "mo": ("money", _number),
    "r4": ("int4range", lambda rng: f"[{rng.randrange(12)},{rng.randrange(12, 99)})"),
}  # fmt: skip
"""Column → its type, and a generator of values' texts."""
SEVERAL = [("i2", "i8"), ("bo", "tx"), ("uu", "i8"), ("tx", "tc"), ("da", "bo", "n2"), ("i2", "f8")]
"""Keys of several columns."""
SIMILAR = {"i4", "n5", "f4", "vc", "bi", "ip", "mo", "nm"} if ROUNDS == 1 else set[str]()
"""Types that are handled like another one; compared in thorough runs alone."""
KEYS = [*((name,) for name in TYPES if name not in SIMILAR), *SEVERAL]
LISTED = ", ".join(TYPES)


@dataclass
class Loaded:
    """A table with a column of each type that can be in a key, loaded by a run. Rows have a number, n."""

    plan: TablePlan
    snap: Snapshot
    session: Session

    def keyed(self, key: Sequence[str]) -> TablePlan:
        """The plan, as if these columns were the key."""
        return replace(self.plan, pk=tuple(key))

    def sides(self, plan: TablePlan, gone: set[int], left: set[int]) -> tuple[SourceSide, TargetSide]:
        """The source without the rows `gone`, and the target without those `left` out."""
        without = SQL("not n = any ({}::int[])").format(Literal(sorted(gone)))
        listed = ", ".join(map(str, sorted(left) or [-1]))
        return (
            SourceSide(self.snap, plan, conditions=[without]),
            TargetSide(self.session, plan, conditions=[f"NOT N IN ({listed})"]),
        )

    def keys(self, plan: TablePlan) -> dict[int, Key]:
        """Each row's key, as Postgres's own texts."""
        texts = [SQL(f.type.text).format(c=Identifier(f.source)) for f in plan.key]
        rows = self.snap.fetch(SQL("select n, {} from keys").format(SQL(", ").join(texts)))
        hexed = [f.type.snowflake == "BINARY" for f in plan.key]
        return {
            int(str(n)): tuple(str(t)[2:] if is_hex else str(t) for t, is_hex in zip(key, hexed, strict=True))
            for n, *key in rows
        }


@contextmanager
def loaded(world: World) -> Iterator[Loaded]:
    rng = random.Random(13)
    world.sql("create extension citext; create type mood as enum ('sad', 'ok', 'Happy')")
    columns = ", ".join(f"{name} {kind}" for name, (kind, _) in TYPES.items())
    world.sql(f"create table keys (n int, {columns}, primary key (n, {LISTED}))")
    for name in TYPES:
        world.sql(f"create index on keys ({name})")
    rows = [[str(n), *(make(rng) for _, make in TYPES.values())] for n in range(ROWS)]
    with world.source.cursor() as cursor, cursor.copy("copy keys from stdin") as copy:
        for row in rows:
            copy.write_row(row)
    world.sql("analyze keys")
    world.tables = [{"source": "keys", "target": "k.keys", "mode": "full", "pk": ["n", *TYPES]}]
    with world.engine() as engine:
        report = engine.tick().tables[0]
        assert (report.status, report.rows_inserted) == (Status.OK, ROWS), report.error
        with engine.source.connect() as conn:
            plan = engine.planner.plan(conn, engine.config.tables[0], None).plan
        with (
            connect(world.settings.snowflake, query_tag="test") as session,
            engine.source.copy_connection() as connection,
            open_snapshot(connection, plan) as snap,
        ):
            yield Loaded(plan, snap, session)


def expected(there: Counter[Key], here: Counter[Key]) -> Counter[tuple[DifferenceKind, Key]]:
    """The differences, with the number of their rows, between these keys of the source and of the target."""
    found: Counter[tuple[DifferenceKind, Key]] = Counter()
    for key in there | here:
        more = here[key] - there[key]
        too_often = DifferenceKind.DUPLICATE if there[key] else DifferenceKind.GHOST
        if more:
            found[too_often if more > 0 else DifferenceKind.MISSING, key] = abs(more)
    return found


def test_every_key_is_cut_and_compared_alike(world: World) -> None:
    """Whatever the key: each range holds the same keys on both sides, digests are equal exactly if the keys are, and a
    comparison finds every missing row and every row too many, and nothing else."""
    rng = random.Random(7)
    with loaded(world) as table:
        for key in KEYS * ROUNDS:
            plan = table.keyed(key)
            keys = table.keys(plan)
            gone, left = (set(rng.sample(range(ROWS), rng.choice([0, 1, 3]))) for _ in range(2))
            source, target = table.sides(plan, gone, left)
            (bounds,) = source.bounds([KeyRange()], [ROWS], rng.choice([1, 4, 12]))
            there = Counter(k for n, k in keys.items() if n not in gone)
            here = Counter(k for n, k in keys.items() if n not in left)
            result = compare(source, target, plan, between(bounds), leaf=rng.choice([12, ROWS]), fan=3)
            found: Counter[tuple[DifferenceKind, Key]] = Counter()
            for difference in result:
                found[difference.kind, difference.key] += difference.rows
            assert found == expected(there, here), key
            assert (result.counts.source_rows, result.counts.target_rows) == (there.total(), here.total())
            if there == here and not any(f.type.snowflake == "FLOAT" for f in plan.key):
                assert result.counts.keys_read == 0  # equal digests; (of floats there are none)
