"""Plans an episode from a seed: which actions, in which lane, and when."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

from tests.stress.system.script import Action, Script
from tests.stress.system.tables import BY_NAME, KINDS, PUBLICATION, Statements

WRITERS = 6
Planned = tuple[str, dict[str, Any]]

TRANSACTIONS = (
    (10, "plain"),
    (6, "several"),
    (3, "savepoints"),
    (2, "aborted"),
    (2, "prepared"),
    (1, "long"),
    (0.5, "large"),
)
RATES = {
    "definitions": 5.0,
    "servers": 12.0,
    "workers": 6.0,
    "config": 10.0,
    "people": 8.0,
    "target": 12.0,
    "broker": 8.0,
}
"""Lane → seconds between two of its actions, on average."""


def plan(seed: int, *, phases: int = 3, seconds: float = 40.0) -> Script:
    """seconds: of a phase."""
    rnd = random.Random(seed)
    names = tuple(sorted(rnd.sample([kind.name for kind in KINDS], rnd.randint(6, len(KINDS)))))
    settings = {
        "tables": list(names),
        "execution": rnd.choice(["single", "distributed"]),
        "pool": rnd.choice(["prefork", "threads"]),
        "odd_clock": rnd.random() < 0.5,
        "keep_wal": rnd.choice(["-1", "-1", "64MB"]),
        "consistency": rnd.choice(["table", "table", "tick"]),
        "small_parts": rnd.random() < 0.25,
    }
    actions: list[Action] = []
    for phase in range(phases):
        for number in range(WRITERS):
            lane = random.Random(f"{seed} {phase} writer {number}")
            actions += _lane(phase, f"writer {number}", seconds, 0.4, lane, _writing(lane, names))
        for lane_name, every in RATES.items():
            lane = random.Random(f"{seed} {phase} {lane_name}")
            actions += _lane(phase, lane_name, seconds, every, lane, PLANNERS[lane_name](lane, names))
    return Script(seed, settings, tuple(sorted(actions, key=lambda action: (action.phase, action.at))))


def _lane(
    phase: int, lane: str, seconds: float, every: float, rnd: random.Random, choose: Callable[[], Planned]
) -> Iterator[Action]:
    at = rnd.expovariate(1 / every)
    while at < seconds:
        kind, args = choose()
        yield Action(phase, round(at, 2), lane, kind, args)
        at += rnd.expovariate(1 / every)


def _writing(rnd: random.Random, names: tuple[str, ...]) -> Callable[[], Planned]:
    statements = Statements(rnd, names)

    def choose() -> Planned:
        weights, kinds = zip(*TRANSACTIONS, strict=True)
        how = rnd.choices(kinds, weights)[0]
        count = {"plain": 1, "prepared": 2, "long": 4, "large": 6}.get(how, rnd.randint(2, 5))
        texts = [statements.one() for _ in range(count)]
        if how == "large":
            texts = [statements._many(BY_NAME[rnd.choice(names)]) for _ in texts]
        pause = {"long": rnd.uniform(2, 8), "prepared": rnd.uniform(0, 4)}.get(
            how, rnd.choice([0.0, 0.0, 0.3])
        )
        return "write", {
            "how": how,
            "statements": texts,
            "pause": round(pause, 2),
            "commits": rnd.random() < 0.85,
            "durable": rnd.random() < 0.8,
        }

    return choose


def _definitions(rnd: random.Random, names: tuple[str, ...]) -> Callable[[], Planned]:
    def choose() -> Planned:
        kind = BY_NAME[rnd.choice(names)]
        name, n = kind.name, rnd.randint(1, 3)
        added = f"alter table {name} add column if not exists c{n} int"
        if kind.grows:
            return "define", {"statement": added}
        partition = f"{name}_{rnd.choice([0, 1])}"
        parts = [
            f"truncate {partition}",
            f"alter table {name} detach partition {partition}",
            f"alter table {name} attach partition {partition} for values in ({partition[-1]})",
        ]
        return "define", {
            "statement": rnd.choice(
                [
                    added,
                    f"{added} default {rnd.randint(1, 9)}",
                    f"alter table {name} drop column if exists c{n}",
                    f"alter table {name} rename column c{n} to c{n % 3 + 1}",
                    f"alter table {name} alter n type bigint",
                    f"alter table {name} alter n type int",
                    f"alter table {name} alter t type varchar(200)",
                    f"alter table {name} alter c{n} type text",
                    f"vacuum full {name}",
                    f"truncate {name}",
                    f"create index on {name} (n)",
                    f"analyze {name}",
                    *(parts if kind.partitioned else []),
                    f"alter publication {PUBLICATION} drop table {name}",
                    f"alter publication {PUBLICATION} add table {name}",
                    "select pg_drop_replication_slot(slot_name) from pg_replication_slots where not active",
                ]
            )
        }

    return choose


def _servers(rnd: random.Random, _names: tuple[str, ...]) -> Callable[[], Planned]:
    def choose() -> Planned:
        which = rnd.choice(["postgres", "postgres", "emulator", "emulator", "broker"])
        return "restart", {
            "server": which,
            "crash": rnd.random() < 0.7,
            "away": round(rnd.choice([0, 0, 2.0]), 1),
        }

    return choose


def _workers(rnd: random.Random, _names: tuple[str, ...]) -> Callable[[], Planned]:
    def choose() -> Planned:
        which = rnd.choice(
            ["ticker 0", "ticker 1", "ticker 0", "ticker 1", "odd clock", "worker", "worker's child", "beat"]
        )
        if which == "odd clock":
            return "clock", {"seconds": rnd.choice([0, 3600, -3600, 86400, -86400, 90, -90])}
        how = rnd.choice(["kill", "kill", "stop", "freeze"])
        return "end", {"process": which, "how": how, "seconds": round(rnd.uniform(0.5, 5), 1)}

    return choose


def _config(rnd: random.Random, names: tuple[str, ...]) -> Callable[[], Planned]:
    def choose() -> Planned:
        kind = BY_NAME[rnd.choice(names)]
        edits: list[dict[str, Any]] = [
            {"enabled": False},
            {"enabled": None},
            {"removed": True},
            {"removed": None},
            {"load": rnd.choice(["auto", "stage", "insert", "s3", None])},
            {"load_via": rnd.choice(["table", None])},
            {"load_every": rnd.choice(["3s", "10s", None])},
            {"max_rows_per_load": rnd.choice([50, 1000, None])},
            {"max_mb_per_chunk": rnd.choice([0.05, None])},
            {"audit_every": "5s"},
            {"live_view": rnd.choice([True, None])},
            {"verify_every": rnd.choice(["1h", None])},
            {"priority": rnd.choice(["low", "high", None])},
        ]
        if not kind.grows:
            edits += [
                {"deletes": rnd.choice(["hard", "soft", "off"])},
                {"mode": rnd.choice(["watermark", "xmin", "log", "full"])},
                {"mode": rnd.choice(["xmin", "log"])},
                {"transform": rnd.choice([{"set_null": ["t"]}, None])},
                {"transform": {"set_null": ["t"]}},
                {"transform": None},
            ]
        options: list[dict[str, Any]] = [
            {"consistency": rnd.choice(["tick", "table"])},
            {"execution": rnd.choice(["single", "distributed"])},
            {"budget": rnd.choice([{"credits_per_day": 0.01}, None])},
            {"log_reader": rnd.choice(["auto", "peek"])},
            {"parallel_tables": rnd.choice([1, 4])},
            {"max_retained_wal": rnd.choice(["1MB", None])},
            {"heartbeat_table": rnd.choice([True, None])},
            {"max_rows_per_tick": rnd.choice([100, None])},
        ]
        to_table = rnd.random() < 0.7
        return "configure", {
            "table": kind.name if to_table else None,
            "change": rnd.choice(edits if to_table else options),
            "restart": rnd.choice(["worker", "none"]),
        }

    return choose


def _people(rnd: random.Random, names: tuple[str, ...]) -> Callable[[], Planned]:
    def choose() -> Planned:
        kind = BY_NAME[rnd.choice(names)]
        commands = [
            ["run"],
            ["run", "--select", kind.source],
            ["run", "--load"],
            ["status"],
            ["verify", "--select", kind.source],
            ["pause", kind.source],
            ["resume", kind.source],
            ["check"],
            ["log", "status"],
            ["plan"],
            ["log", "setup"],
            ["apply", "--yes"],
        ]
        if not kind.grows:
            commands += [
                ["resync", kind.source, "--yes"],
                ["run", "--select", kind.source, "--full-refresh", "--yes"],
                ["repair", kind.source, "--yes", "--confirm-deletes"],
                ["run", "--select", kind.source, "--confirm-deletes", "--yes"],
            ]
        if rnd.random() < 0.25:
            action = rnd.choice(["run"] if kind.grows else ["run", "resync"])
            return "request", {"table": kind.source, "action": action}
        return "command", {"args": rnd.choice(commands)}

    return choose


def _target(rnd: random.Random, names: tuple[str, ...]) -> Callable[[], Planned]:
    def choose() -> Planned:
        kinds = [BY_NAME[name] for name in names if not BY_NAME[name].grows]
        target, id = rnd.choice(kinds).target, rnd.randrange(300)
        return "edit", {
            "table": target.removeprefix("ANALYTICS.").lower(),
            "statement": rnd.choice(
                [
                    f"DELETE FROM {target} WHERE ID BETWEEN {id} AND {id + 30}",
                    f"UPDATE {target} SET N = -1 WHERE ID > {id}",
                    f"DROP TABLE {target}",
                    f"ALTER TABLE {target} ADD COLUMN PERSONS VARCHAR",
                    f"ALTER TABLE {target} DROP COLUMN T",
                    f"UPDATE {target} SET ID = ID + 70000 WHERE ID = {id}",
                    f"INSERT INTO {target} (ID, REGION, N) VALUES ({60000 + id}, 0, 1)",
                    f"TRUNCATE TABLE {target}",
                ]
            ),
        }

    return choose


def _broker(rnd: random.Random, _names: tuple[str, ...]) -> Callable[[], Planned]:
    def choose() -> Planned:
        what = rnd.choice(["again", "late", "tick", "ticks at once", "lost"])
        return "messages", {"what": what, "seconds": round(rnd.uniform(1, 8), 1) if what == "late" else 0.0}

    return choose


PLANNERS: dict[str, Callable[[random.Random, tuple[str, ...]], Callable[[], Planned]]] = {
    "definitions": _definitions,
    "servers": _servers,
    "workers": _workers,
    "config": _config,
    "people": _people,
    "target": _target,
    "broker": _broker,
}
