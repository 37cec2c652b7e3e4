"""The tables of the stress with deletes: every kind of key, a partition tree, and a child table whose rows are deleted
with their parents.

Each row has a number `n`, from which its key is made, so that writers know the keys of every table. The table `life`
records, in each transaction, which keys it adds and which it removes, whatever statement does that: it shows whether a
key was absent at any moment between two snapshots.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PARENT, UUIDS, TEXTS, TREE, CHILD = "s_parent", "s_uuid", "s_text", "s_tree", "s_child"


@dataclass(frozen=True, slots=True)
class Kind:
    """A table. key: column → SQL expression of its value for the row with the number `g`. extra: other columns."""

    name: str
    types: Mapping[str, str]
    key: Mapping[str, str]
    extra: str = ""
    options: Mapping[str, Any] | None = None
    """Settings of its entry in the configuration."""

    @property
    def key_columns(self) -> str:
        return ", ".join(self.key)

    def create(self) -> str:
        columns = ", ".join(f"{name} {kind}" for name, kind in self.types.items())
        partition = "partition by list (region)" if self.name == TREE else ""
        return f"""
            drop table if exists {self.name} cascade;
            create table {self.name} ({columns}, n bigint not null, v bigint not null,
                updated_at timestamptz{self.extra}, primary key ({self.key_columns})) {partition};
            create index on {self.name} (updated_at);
            create index on {self.name} (n);
            create trigger life after insert or delete or update on {self.name}
                for each row execute function record_life({", ".join(f"'{name}'" for name in self.key)});
            create trigger emptied before truncate on {self.name}
                for each statement execute function record_end({", ".join(f"'{name}'" for name in self.key)});
        """

    def entry(self) -> dict[str, Any]:
        return {
            "source": f"public.{self.name}", "target": f"analytics.{self.name}", "pk": list(self.key),
            "watermark_column": "updated_at", **(self.options or {}),
        }  # fmt: skip


KINDS = (
    Kind(PARENT, {"id": "bigint"}, {"id": "g"}),
    Kind(UUIDS, {"id": "uuid"}, {"id": "md5(g::text)::uuid"}, options={"mode": "xmin"}),
    Kind(
        TEXTS,
        {"a": "text", "b": "text"},
        {"a": "(array['a', 'B', '', 'Ä ~', 'o''x', 'ß\\'])[1 + abs(g) % 6]", "b": "'k' || g"},
    ),
    Kind(TREE, {"id": "bigint", "region": "bigint"}, {"id": "g", "region": "abs(g) % 4"}),
    Kind(
        CHILD,
        {"id": "bigint"},
        {"id": "-g"},
        extra=f", parent bigint references {PARENT} on delete cascade",
    ),
)
BY_NAME = {kind.name: kind for kind in KINDS}

LIFE = """
drop table if exists life;
create table life (
    t text not null, key text[] not null, alive boolean not null,
    xid xid8 not null default pg_current_xact_id(), seq bigint generated always as identity
);
create index on life (xid);
create or replace function record_life() returns trigger language plpgsql as $$
declare old_key text[]; new_key text[];
begin
    if tg_op <> 'INSERT' then
        select array_agg(to_jsonb(old) ->> c order by o) into old_key from unnest(tg_argv) with ordinality u (c, o);
    end if;
    if tg_op <> 'DELETE' then
        select array_agg(to_jsonb(new) ->> c order by o) into new_key from unnest(tg_argv) with ordinality u (c, o);
    end if;
    if old_key is distinct from new_key then
        if old_key is not null then
            insert into life (t, key, alive) values (logged_name(tg_table_name), old_key, false);
        end if;
        if new_key is not null then
            insert into life (t, key, alive) values (logged_name(tg_table_name), new_key, true);
        end if;
    end if;
    return null;
end $$;
create or replace function record_end() returns trigger language plpgsql as $$
begin
    execute format('insert into life (t, key, alive) select logged_name(%L), array[%s], false from %I', tg_table_name,
        (select string_agg(format('%I::text', c), ', ' order by o) from unnest(tg_argv) with ordinality u (c, o)),
        tg_table_name);
    return null;
end $$;
create or replace function logged_name(name text) returns text immutable language sql as
    $$ select case when name like 's_tree%' then 's_tree' else name end $$;
"""


def schema() -> str:
    """SQL that creates everything again, empty."""
    leaves = "".join(f"create table {TREE}_{n} partition of {TREE} for values in ({n});" for n in range(4))
    drop_leaves = """
        do $$ declare r record; begin
            for r in select oid::regclass as leaf from pg_class where relname like 's\\_tree\\_%' and relkind = 'r' loop
                execute 'drop table if exists ' || r.leaf;
            end loop;
        end $$;
    """
    by_parent = f"create index on {CHILD} (parent);"
    return drop_leaves + LIFE + "".join(kind.create() for kind in KINDS) + leaves + by_parent
