"""Ledgers in states that the pages show, written as runs write them: through the ledger's own stores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from pgsnow.ledger.ledger import Ledger
from pgsnow.model.batch import Rejected
from pgsnow.model.config.sync_config import SyncConfig, parse_config
from pgsnow.model.report import SentStatement, Status, TableReport
from pgsnow.model.settings.settings import PostgresSettings

INTERVAL = 120
LOADED: Mapping[str, Any] = {"rows_inserted": 12, "rows_updated": 30, "bytes_staged": 18_000, "load_units": 1}
NO_GRANT = "permission denied for table invoices"
GRANT = "Run `GRANT SELECT ON public.invoices TO pgsnow` in Postgres; the next tick tries again."


@dataclass(frozen=True, slots=True)
class Past:
    """What a table did. runs: letters of its newest runs, oldest first: o ok, i idle, p partial, e error. ago: seconds
    since the last of them. lag: seconds by which the target is behind. each: counts of a run that loads."""

    runs: str = "iioiiioiioiiiiioioii"
    ago: float = 40
    lag: float = 45
    each: Mapping[str, Any] = field(default_factory=lambda: LOADED)
    error: str = ""
    advice: str = ""
    wave: float = 0.0
    """How much the counts vary: 0 not at all, 0.9 from a tenth to nearly twice as much."""


SHOP: Mapping[str, Past] = {
    "public.users": Past("oooiooooiooooooooooo", each={**LOADED, "rows_deleted": 2}),
    "public.orders": Past("oooooooooooooooooooo", each={"rows_inserted": 184, "rows_updated": 2310}),
    "public.order_items": Past("oooooooooooooooooooo", each={"rows_inserted": 611, "rows_updated": 44}),
    "public.payments": Past("ooiooiooooooiooiooio", each={"rows_inserted": 173}),
    "public.invoices": Past("ooooiooooooooooeeeee", lag=640, error=NO_GRANT, advice=GRANT),
    "public.products": Past("iiiiiiiiiioiiiiiiiii"),
    "public.categories": Past("iiiiiiiiiiiiiiiiiiii"),
    "public.addresses": Past("oioioiooiooppppppppp", each={"rows_updated": 7}),
    "public.sessions": Past("oooooooooooooooooooo", lag=2900, each={"rows_inserted": 48_113}),
    "public.page_views": Past("oooooooooooooooooooo", each={"rows_inserted": 1_284_022}),
    "public.coupons": Past("iiiiiiiioiiiiiiiiiii"),
    "public.stock_levels": Past("oooooooooooooooooooo", each={"rows_updated": 930}),
    "warehouse.shipments": Past("oiooioooooioooooioii", each={"rows_inserted": 25, "rows_updated": 80}),
}
STATUS = {"o": Status.OK, "i": Status.IDLE, "p": Status.PARTIAL, "e": Status.ERROR, "s": Status.STOPPED}


def ledger_at(dsn: str) -> Ledger:
    """An open ledger in this database, with its tables."""
    ledger = Ledger(PostgresSettings.from_dsn(dsn))
    ledger.migrate()
    return ledger


def config_of(names: Sequence[str], *, off: Sequence[str] = (), **top: Any) -> SyncConfig:
    """A configuration of tables with these sources; those in `off` are switched off."""
    tables = [
        {
            "source": name,
            "target": f"analytics.{name.partition('.')[2]}",
            "pk": "id",
            "watermark_column": "updated_at",
            "enabled": name not in off,
        }
        for name in names
    ]
    return parse_config(
        {"sync_interval_seconds": INTERVAL, "tables": tables, **top}, file="sync_config.yaml", env={}
    )


def write(ledger: Ledger, dsn: str, pasts: Mapping[str, Past], *, age: float = 0) -> None:
    """Record these runs; `age` seconds lie between the newest tick and now, in addition to each table's own."""
    longest = max(len(past.runs) for past in pasts.values())
    for tick in range(longest, 0, -1):
        ending = {name: past for name, past in pasts.items() if len(past.runs) >= tick}
        claims, refused = ledger.leases.claim(
            list(ending), run_id=f"{0x5EED00 + longest - tick:016x}", holder="web-1:7"
        )
        assert not refused
        reports = [_report(claim.table, claim.run_id, ending[claim.table], tick, age) for claim in claims]
        ledger.run_log.finish(list(zip(claims, reports, strict=True)))
        ledger.leases.release(claims)
    _move_back(dsn, pasts, age)


def reject(ledger: Ledger, table: str, count: int) -> None:
    """Record rejected rows of a table."""
    [claim], _ = ledger.leases.claim([table], run_id="00000000005eed99", holder="web-1:7")
    rows = [
        Rejected({"id": str(n)}, "value too long for VARCHAR(100)", "street", {"id": n}) for n in range(count)
    ]
    ledger.rejected_rows.add(claim, rows)
    ledger.leases.release([claim])


def begin(dsn: str, table: str) -> None:
    """Give the lease of this table to a worker that is still at work."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "update sync_watermarks set lease_holder = 'worker-2:41', lease_expires = now() + interval '1 hour'"
            " where source_table = %s",
            [table],
        )


def _sent(started: datetime, rows: int, number: int) -> tuple[SentStatement, ...]:
    """The statements of a run that loads a batch."""
    kinds = (("PUT", 0.4, None), ("COPY", 0.9, rows), ("MERGE", 0.5, rows), ("DROP", 0.1, None))
    return tuple(
        SentStatement(
            kind,
            f"01bd{number:04x}-0000-{place:04x}-0000-00010005e0de",
            started + timedelta(seconds=0.6 + 0.45 * place),
            seconds,
            count,
            kind in ("COPY", "MERGE"),
        )
        for place, (kind, seconds, count) in enumerate(kinds)
    )


def _report(table: str, run_id: str, past: Past, tick: int, age: float) -> TableReport:
    status = STATUS[past.runs[-tick]]
    started = datetime.now(UTC) - timedelta(seconds=past.ago + age + (tick - 1) * INTERVAL + 2.4)
    loads = status in (Status.OK, Status.PARTIAL)
    wave = 1 + past.wave * math.sin(tick / 57) * math.sin(tick * tick / 7)
    counts = {name: round(value * wave) for name, value in past.each.items()} if loads else {}
    rows = sum(value for name, value in counts.items() if name.startswith("rows_"))
    sent = _sent(started, rows, tick) if loads else ()
    phases = {
        "probe": 0.004,
        "connect": 0.31,
        "read": 0.2,
        "write": 0.05,
        "put": 0.4,
        "copy": 0.9,
        "merge": 0.5,
    }
    failed = status is Status.ERROR
    return TableReport(
        table,
        f"PROD.ANALYTICS.{table.partition('.')[2].upper()}",
        run_id,
        status,
        started,
        seconds=2.4 if loads else 0.02,
        phases=phases if loads else {"probe": 0.01},
        rows_read=rows,
        statements=sent,
        statement_count=len(sent),
        query_ids=tuple(one.query_id for one in sent),
        rows_rejected=3 if status is Status.PARTIAL else 0,
        error=past.error if failed else None,
        error_type="SourcePermissionDenied" if failed else None,
        advice=past.advice if failed else None,
        **counts,
    )


def _move_back(dsn: str, pasts: Mapping[str, Past], age: float) -> None:
    """Every run was recorded just now: move what the ledger's clock has stamped."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for name, past in pasts.items():
            good = next((n for n, letter in enumerate(reversed(past.runs)) if letter in "oip"), None)
            connection.execute(
                "update sync_watermarks set last_run = last_run - make_interval(secs => %(ago)s),"
                " last_success = last_run at time zone 'UTC' - make_interval(secs => %(good)s),"
                " applied_until = now() - make_interval(secs => %(lag)s), read_mode = 'watermark'"
                " where source_table = %(name)s",
                {
                    "name": name,
                    "ago": past.ago + age,
                    "good": None if good is None else past.ago + age + good * INTERVAL,
                    "lag": past.lag + age,
                },
            )
