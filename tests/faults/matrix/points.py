"""The points at which a tick can fail, by the side that fails there, and the loads in which a tick gets there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pgsnow.ledger.queries import texts

SOURCE: Mapping[str, bytes] = {
    "horizon": b"select to_json(statement_timestamp())",
    "catalog": b"with recursive tables as materialized",
    "probe": b"exists (select from",
    "snapshot": b"begin isolation level repeatable",
    "rows": b"copy (select",
    "publication": b"from pg_publication where pubname",
    "log session": b"START_REPLICATION",
    "log position": b"select confirmed_flush_lsn::text from",
    "confirm": b"select confirmed_flush_lsn::text, active_pid",
}
"""A statement to the source → text that no other statement has."""
LEDGER: Mapping[str, bytes] = {
    name: text.splitlines()[0].replace("{schema}", '"public"').encode() for name, text in texts().items()
}
"""A statement to the ledger → its first line."""
TARGET: Mapping[str, bytes] = {
    "create": b"CREATE TABLE",
    "put": b"PUT ",
    "copy": b"COPY INTO",
    "merge": b"MERGE INTO",
    "replace": b"INSERT OVERWRITE",
    "commit": b"COMMIT",
    "delete": b"DELETE FROM",
    "remove": b"REMOVE ",
}
"""A statement to Snowflake → text that no other statement has."""

_ALWAYS = ("claim", "horizon", "catalog", "virtual_xids", "record_runs", "release", "open_batch")
_READS = (*_ALWAYS, "probe", "snapshot", "rows")
_LOG = (
    *_ALWAYS, "claim_slot", "publication", "log session", "log position", "durable_in_log", "advance_slot", "confirm",
    "release_slot", "stage",
)  # fmt: skip
STATEMENTS: Mapping[str, Sequence[str]] = {
    "merge": (*_READS, "advance", "close_batches"),
    "first": (*_READS, "remember_target", "advance", "forget", "sweep_done", "close_batches"),
    "full": (*_READS, "advance", "close_batches"),
    "append": (*_READS, "advance", "close_batches"),
    "insert only": (*_READS, "stage", "staged_loaded", "close_batches"),
    "deferred": (*_READS, "stage"),
    "deletes": (*_READS, "advance", "sweep_done", "close_batches"),
    "rejected": (*_READS, "add_rejected_rows", "mark_stale", "unjudged_keys", "advance", "close_batches"),
    "chunks": (
        *_READS, "begin_backfill", "claim_chunk", "open_chunk_batch", "close_chunk_batches", "finish_chunk",
        "release_chunks", "chunk_counts", "advance", "close_batches",
    ),
    "log": (*_LOG, "staged_loaded", "close_batches"),
    "log, deferred": _LOG,
    "log, soft deletes": (*_LOG, "staged_loaded", "close_batches"),
}  # fmt: skip
"""A load → the statements to Postgres that its tick sends, and that can fail."""
STEPS: Mapping[str, Sequence[str]] = {
    "merge": ("prepare", "put", "copy", "merge", "clean up"),
    "first": ("prepare", "put", "copy", "clean up"),
    "full": ("prepare", "put", "copy", "replace", "clean up"),
    "append": ("prepare", "put", "copy", "append", "clean up"),
    "insert only": ("prepare", "put", "copy", "merge", "clean up"),
    "deferred": ("put",),
    "deletes": ("prepare", "put", "copy", "merge", "compare", "delete", "clean up"),
    "rejected": ("prepare", "put", "copy", "merge", "clean up"),
    "chunks": ("prepare", "shadow", "put", "copy", "replace", "clean up"),
    "log": ("prepare", "put", "copy", "merge", "clean up"),
    "log, deferred": ("put",),
    "log, soft deletes": ("prepare", "put", "copy", "merge", "clean up"),
}
"""A load into memory → its steps, which fail before they do anything, or after."""
_PHASES = ("started", "read", "page", "written", "put", "checkpointed", "swept", "finished")
PHASES: Mapping[str, Sequence[str]] = {
    "merge": (*_PHASES, "copied", "merged"),
    "first": (*_PHASES, "copied"),
    "full": (*_PHASES, "copied", "replaced"),
    "append": (*_PHASES, "copied", "merged"),
    "insert only": (*_PHASES, "staged", "copied", "merged"),
    "deferred": ("started", "read", "page", "written", "put", "staged", "finished"),
    "deletes": (*_PHASES, "copied", "merged", "compared", "deleted"),
    "rejected": (*_PHASES, "copied", "merged"),
    "chunks": (*_PHASES, "copied", "chunk", "replaced"),
    "log": (*_PHASES, "staged", "copied", "merged"),
    "log, deferred": ("started", "read", "page", "written", "put", "staged", "finished"),
    "log, soft deletes": (*_PHASES, "staged", "copied", "merged"),
}
"""A load → the phases of its run, after each of which its process meets an error or is overtaken."""

_KILLS = ("claim", "horizon", "open_batch", "record_runs")
IN_SNOWFLAKE: Mapping[str, Sequence[str]] = {
    "bound values": ("merge",),
    "staged files": ("put", "merge"),
    "staging table": ("put", "copy", "merge"),
    "first load": ("create", "put", "copy"),
    "full content": ("put", "replace"),
    "load_every": ("put",),
    "load_every, due": ("put", "merge"),
    "copied once": ("put", "copy", "commit"),
    "deleted rows": ("put", "merge", "delete"),
    "bucket": ("merge",),
    "changes of the log": ("put", "merge"),
}
"""A load into Snowflake → the statements that its tick sends there."""
KILLED: Mapping[str, Sequence[str]] = {
    "bound values": (*_KILLS, "advance"),
    "staged files": (*_KILLS, "rows", "advance", "close_batches"),
    "staging table": ("advance",),
    "first load": (*_KILLS, "remember_target", "rows", "advance", "forget"),
    "full content": ("advance",),
    "load_every": (*_KILLS, "stage"),
    "load_every, due": ("stage", "staged_loaded"),
    "copied once": ("stage", "staged_loaded"),
    "deleted rows": ("advance", "sweep_done"),
    "bucket": ("open_batch", "advance"),
    "changes of the log": (
        *_KILLS, "claim_slot", "log session", "stage", "advance_slot", "confirm", "staged_loaded", "release_slot",
    ),
}  # fmt: skip
"""A load into Snowflake → statements to Postgres at which its worker is killed."""
BUCKET: Mapping[str, bytes] = {"part": b"PUT /"}
"""A request to the bucket's store → text that no other request has."""
