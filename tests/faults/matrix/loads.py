"""The ways in which rows are loaded, each as a configuration and the changes that the source has before a fault."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

ROWS = 60
ADD = "insert into users (id, name) select max(id) + 1 + g, 'new {n}' from users, generate_series(0, 9) g group by g"
CHANGE = "update users set balance = {n}, updated_at = clock_timestamp() where id % 7 = {n} % 7"
DELETE = "delete from users where id = (select min(id) from users)"
MOVE = "update users set id = -id, updated_at = clock_timestamp() where id = (select max(id) - 15 from users)"
PUBLICATION = "pgsnow_faults"


@dataclass(frozen=True)
class Load:
    """One way of loading.

    entry: of the table in the configuration. options: of the configuration. changes: statements for the source, in
    which {n} is a number that grows. tick: arguments of the tick that meets the fault. target: `memory`, or `snowflake`
    where only its statements and files show the fault. rejected: each change adds a row that cannot be loaded. drops:
    the target is dropped before the tick, so that everything is loaded again. bucket: files go through a bucket.
    rows: that the source has at first.
    """

    name: str
    entry: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    changes: Sequence[str] = (ADD, CHANGE)
    tick: Mapping[str, Any] = field(default_factory=dict)
    target: str = "memory"
    rejected: bool = False
    drops: bool = False
    bucket: bool = False
    rows: int = ROWS
    set_up: Sequence[str] = ()


SWEEP = {"sweep_every": "1ms", "sweep_share": "100%"}
LOG: Mapping[str, Any] = {"mode": "log", "sweep_share": "100%"}
PUBLISHED = f"create publication {PUBLICATION} for table users"
_LOG: dict[str, Any] = {
    "options": {"log_publication": PUBLICATION},
    "changes": (ADD, CHANGE, DELETE, MOVE),
    "set_up": (PUBLISHED,),
}
SMALL_CHUNKS = {"max_mb_per_chunk": 0.01, "batch_size": 50}

IN_MEMORY = (
    Load("merge"),
    Load("first", drops=True),
    Load("full", {"mode": "full", "watermark_column": None}, changes=(ADD, DELETE)),
    Load("append", {"mode": "append", "pk": None, "watermark_column": None}, changes=(ADD,)),
    Load("insert only", {"insert_only": True}, changes=(ADD,)),
    Load("deferred", {"load_every": "1ms"}),
    Load("deletes", SWEEP, changes=(ADD, DELETE)),
    Load("rejected", rejected=True),
    Load("chunks", SMALL_CHUNKS, tick={"resync": True}, rows=400),
    Load("log", LOG, **_LOG),
    Load("log, deferred", {**LOG, "load_every": "1ms"}, **_LOG),
    Load("log, soft deletes", {**LOG, "deletes": "soft"}, **_LOG),
)
IN_SNOWFLAKE = (
    Load("bound values", changes=("update users set balance = {n}, updated_at = clock_timestamp() where id in (7, 8)",),
         target="snowflake"),
    Load("staged files", {"load": "stage"}, target="snowflake"),
    Load("staging table", {"load": "stage", "load_via": "table"}, target="snowflake"),
    Load("first load", {"load": "stage"}, target="snowflake", drops=True),
    Load("full content", {"load": "stage", "mode": "full", "watermark_column": None}, changes=(ADD, DELETE),
         target="snowflake"),
    Load("load_every", {"load": "stage", "load_every": "1ms"}, target="snowflake"),
    Load("load_every, due", {"load": "stage", "load_every": "1ms"}, target="snowflake", tick={"load": True}),
    Load("copied once", {"load": "stage", "insert_only": True}, changes=(ADD,), target="snowflake"),
    Load("deleted rows", {"load": "stage", **SWEEP}, changes=(ADD, DELETE), target="snowflake"),
    Load("bucket", {"load": "s3"}, target="snowflake", bucket=True),
    Load("changes of the log", {**LOG, "load": "stage"}, target="snowflake", **_LOG),
)  # fmt: skip
LOADS: Mapping[str, Load] = {load.name: load for load in (*IN_MEMORY, *IN_SNOWFLAKE)}
