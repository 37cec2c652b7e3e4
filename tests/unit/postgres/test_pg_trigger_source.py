"""What a trigger sets at every update is read from its source; what it sets only sometimes does not count."""

from __future__ import annotations

import pytest

from pgsnow.postgres.catalog.trigger_source import Moved, moved_arguments, moved_columns


def body(inside: str) -> str:
    return f"begin\n {inside}\n return new; end"


@pytest.mark.parametrize(
    ("source", "columns"),
    [
        ("BEGIN NEW.last_update = CURRENT_TIMESTAMP; RETURN NEW; END", {"last_update"}),
        (body("new.at := now() at time zone 'utc';"), {"at"}),
        (body('new."ModifiedAt" := clock_timestamp();'), {"ModifiedAt"}),
        (body("if new is distinct from old then new.at := now(); end if;"), {"at"}),
        (body("if row(new.*) is distinct from row(old.*) then new.at = now(); end if;"), {"at"}),
        (body("if (new.* <> old.*) then new.at = now(); else return old; end if;"), {"at"}),
        (body("if new.* is not distinct from old.* then return null; end if; new.at := now();"), {"at"}),
        (body("if tg_op = 'UPDATE' then new.at := now(); end if;"), {"at"}),
        (body("if (TG_OP = 'INSERT' OR TG_OP = 'UPDATE') then new.at := now(); end if;"), {"at"}),
        (body("if tg_op in ('INSERT', 'UPDATE') then new.at := now(); end if;"), {"at"}),
        (body("if tg_op = 'INSERT' then new.made := now(); else new.at := now(); end if;"), {"at"}),
        (body("if tg_op = 'INSERT' then null; elsif tg_op = 'UPDATE' then new.at := now(); end if;"), {"at"}),
        (body("if tg_op = 'DELETE' then return old; end if; new.at := now();"), {"at"}),
        (body("if new.a <> old.a then new.b := 1; end if; new.at := now();"), {"at"}),
        (body("if new.a < 0 then raise exception 'no; new.at'; end if; new.at := now();"), {"at"}),
        (body("select now() into new.at;"), {"at"}),
        (body("new.at := case when new.a then now() else clock_timestamp() end;"), {"at"}),
        (body("/* why */ -- indeed\n new.at := now();"), {"at"}),
    ],
)
def test_a_column_that_every_update_sets_to_the_clock_counts(source: str, columns: set[str]) -> None:
    assert moved_columns(source) == dict.fromkeys(columns, Moved.CLOCK)


@pytest.mark.parametrize(
    "source",
    [
        body("new.created_at := old.created_at;"),
        body("new.at := coalesce(old.at, now());"),
        body("new.at := new.given;"),
        body("new.version := old.version + 1;"),
        body("if new.status <> old.status then new.at := now(); end if;"),
        body("if new.a is distinct from old.a then new.at := now(); end if;"),
        body("if tg_op = 'INSERT' then new.at := now(); end if;"),
        body("if tg_op = 'UPDATE' and new.a > 1 then new.at := now(); end if;"),
        body("if new.a > 1 then return new; end if; new.at := now();"),
        body("if new.a > 1 then null; elsif tg_op = 'UPDATE' then new.at := now(); end if;"),
        body("if new is distinct from old then null; else new.at := now(); end if;"),
        body("for i in 1..new.n loop new.at := now(); end loop;"),
        "begin null; exception when others then new.at := now(); return new; end",
        "begin return new; new.at := now(); end",
        body("if new.version = old.version then raise 'stale'; end if;"),
        body("new.at := now(); if new.silent then new.at := old.at; end if;"),
        body("-- new.at := now();"),
        body("insert into log values (new.id, now());"),
        body("perform 'new.at := now();';"),
        "",
    ],
)
def test_a_column_that_only_some_updates_move_does_not_count(source: str) -> None:
    assert moved_columns(source) == {}


def test_a_sequence_counts_as_one() -> None:
    assert moved_columns(body("new.v := nextval('t_v_seq');")) == {"v": Moved.SEQUENCE}


def test_a_column_named_as_an_argument_counts_if_the_function_sets_it_to_the_clock() -> None:
    assert moved_arguments("moddatetime", "updated_at\\000", ["id", "updated_at"]) == {"updated_at"}
    generic = body("new := jsonb_populate_record(new, jsonb_build_object(tg_argv[0], now()));")
    assert moved_arguments(generic, "at\\000", ["id", "at"]) == {"at"}
    assert moved_arguments("tsvector_update_trigger", "updated_at\\000", ["updated_at"]) == frozenset()
    assert moved_arguments(body("perform audit(tg_argv[0]);"), "at\\000", ["at"]) == frozenset()
    assert moved_arguments("moddatetime", "", ["id"]) == frozenset()
