"""The server cannot decode its own log.

Group: history
Danger: A part of the write-ahead log is damaged, or Postgres finds itself unable to decode it ("could not map
filenumber … to relation OID"). Each read of the slot fails at the same place, so the slot is never confirmed: all
tables with `mode: log` are read without the log in each tick, by a scan, until the slot holds back `max_retained_wal`.
Answer: An internal error of the server while it decodes, and a part of the log that is missing, are a gap in the log: a
new slot is made at once, the tables are read once without the log, and join it again. The run's events say why.
"""

from __future__ import annotations

from tests.edges.own_server import OwnServer, Shop

NEXT = """
select pg_walfile_name(pg_current_wal_insert_lsn()), (pg_current_wal_insert_lsn() - '0/0'::pg_lsn) % (16 << 20)
"""


def test_a_new_slot_is_made_and_the_table_follows_it(shop: Shop, own_server: OwnServer) -> None:
    """What was written in the damaged part arrives in the next tick, and the log is followed again after it."""
    shop.sql("create publication ours for table items; select pg_log_standby_snapshot()")
    shop.tables[1]["mode"] = "log"
    shop.options["log_publication"] = "ours"
    for _ in range(2):
        shop.tick()
    [(file, place)] = shop.sql(NEXT)
    shop.write(20, 3)
    shop.sql("delete from items where id = 2")
    damage(own_server, file, int(place))
    events = shop.tick()["public.items"].events
    assert any("without the log" in event and "find record" in event for event in events), events
    shop.tick()
    shop.write(30)
    assert not any("without the log" in event for event in shop.tick()["public.items"].events)
    shop.assert_equal()
    assert shop.sql("select count(*) from pg_replication_slots") == [(1,)]


def damage(own_server: OwnServer, file: str, place: int) -> None:
    """Overwrite a record of the log while the server is stopped, which starts from its last checkpoint, after it."""
    own_server.server.stop()
    with (own_server.data / "pg_wal" / file).open("r+b") as log:
        log.seek(place + 64)
        log.write(b"damaged!" * 4)
    own_server.server.start()
