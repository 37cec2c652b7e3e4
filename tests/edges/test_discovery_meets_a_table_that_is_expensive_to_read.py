"""A table can only be read as a whole.

Group: discovery
Danger: A table without a key, or whose keys are only on its partitions, is read and loaded as a whole again and
    again. Nobody notices until the warehouse bill comes.
Answer: Each entry shows its `mode` with the reason. `pgsnow discover` warns with the table's size and what to do,
    such as the statement that adds the key; `pgsnow check` and `pgsnow plan` warn from 1 GB or 2 million rows on.
    A deferrable primary key is a key: only committed rows are read.
"""

from __future__ import annotations

import pytest

from pgsnow.model.discovery.proposal import Proposal
from pgsnow.model.report import Status
from pgsnow.operations.check.tables import check_table
from pgsnow.operations.discover.discover import Choice, discover
from pgsnow.postgres.catalog.survey import survey_of
from tests.world import MemoryWorld


@pytest.fixture
def tables(memory_world: MemoryWorld) -> MemoryWorld:
    memory_world.sql(
        """
        create table keyless (a int, b text, "when" timestamptz default now());
        insert into keyless select n, 'b' from generate_series(1, 100) n;
        create table tree (id int not null, "On Day" date) partition by range ("On Day");
        create table tree_1 partition of tree (primary key (id)) for values from ('2026-01-01') to ('2026-02-01');
        create table tree_2 partition of tree (primary key (id)) for values from ('2026-02-01') to ('2026-03-01');
        create table leafy (id int, day date) partition by range (day);
        create table leafy_1 partition of leafy (primary key (id, day))
            for values from ('2026-01-01') to ('2026-02-01');
        create table deferred (id int, code text not null, primary key (id) deferrable initially deferred,
                               unique (code) deferrable);
        insert into deferred values (1, 'a'), (2, 'b');
        create table huge (id int primary key, a timestamptz, b timestamptz, c timestamptz);
        analyze;
        update pg_class set reltuples = 5e7, relpages = 2000000 where relname in ('huge', 'keyless');
        """
    )
    return memory_world


def proposals(world: MemoryWorld) -> dict[str, Proposal]:
    return {each.name.table: each for each in discover(world.settings.source, Choice(), target_schema="shop")}


def test_what_is_read_as_a_whole_is_warned_about_with_its_size_and_the_remedy(tables: MemoryWorld) -> None:
    """The mode never contradicts its reason, and each warning says how large the table is and what to do."""
    found = proposals(tables)
    keyless, tree, huge = found["keyless"], found["tree"], found["huge"]
    assert (keyless.mode, tree.mode, huge.mode) == ("full", "full", "xmin")
    assert "no primary key" in keyless.mode_reason
    assert "transaction id" not in " ".join([*keyless.reasons, *tree.reasons])
    [whole] = keyless.warnings
    assert "about 50,000,000 rows, 15.3 GB" in whole
    assert 'ALTER TABLE "public"."keyless" ADD PRIMARY KEY' in whole
    [scanned] = huge.warnings
    assert "each tick scans the whole table (about 50,000,000 rows, 15.3 GB)" in scanned


def test_the_statement_for_keys_on_partitions_works(tables: MemoryWorld) -> None:
    """The advice can be run as it is shown, and the table is then read by its key."""
    for table, key, columns in (("tree", "[id]", ["id", "On Day"]), ("leafy", "[id, day]", ["id", "day"])):
        [warning] = proposals(tables)[table].warnings
        assert f"each partition has the primary key {key}, the partitioned table has none" in warning
        tables.sql(warning.rpartition(": ")[2])
        assert (proposals(tables)[table].entry or {})["pk"] == columns


def test_one_sentence_is_said_once_for_many_columns(tables: MemoryWorld) -> None:
    """Three columns for which the same holds share a sentence."""
    reason = proposals(tables)["huge"].mode_reason
    assert reason.count("nothing indicates that it changes with the row") == 1
    assert "a, b, c: nothing indicates" in reason


def test_a_deferrable_key_is_a_key(tables: MemoryWorld) -> None:
    """Found by discovery, accepted by check and by a run, also as a `pk` written by hand; swapped keys arrive."""
    entry = dict(proposals(tables)["deferred"].entry or {})
    assert (entry["pk"], entry["mode"]) == ("id", "xmin")
    tables.tables = [entry, {**entry, "name": "by code", "target": "shop.by_code", "pk": "code"}]
    for config in tables.config.tables:
        _, prepared = check_table(tables.source, config, tables.settings.snowflake)
        assert prepared is not None
    with tables.engine() as engine:
        engine.tick()
        tables.sql("update deferred set id = 3 - id")
        assert {table.status for table in engine.tick().tables} == {Status.OK}
    tables.assert_equal()


def test_check_warns_about_a_large_table_that_is_read_as_a_whole(tables: MemoryWorld) -> None:
    """Also where a person has written `mode: full`, or left the key out."""
    tables.tables = [{"source": "keyless", "target": "shop.keyless", "mode": "full"}]
    config = tables.config.tables[0]
    surveyed = survey_of(tables.source, [config.source])[config.source]
    results, _ = check_table(tables.source, config, tables.settings.snowflake, surveyed=surveyed)
    [warning] = [result for result in results if "read as a whole" in result.detail]
    assert "15.3 GB" in warning.detail
    assert "ADD PRIMARY KEY" in warning.fix
