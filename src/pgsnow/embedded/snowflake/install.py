"""All repairs, in the order they wrap one another."""

from __future__ import annotations

from pgsnow.embedded.snowflake import (
    atomicity,
    bindings,
    copying,
    failures,
    gaps,
    sessions,
    timestamps,
    uploads,
)
from pgsnow.embedded.snowflake.journal import Journal


def install(journal: Journal) -> None:
    """Repairs fakesnow in this process. Call once, before its server takes a request."""
    timestamps.keep_null_timestamps()
    bindings.bind_exactly()
    copying.honour_copy_flags()
    copying.find_named_files()
    uploads.describe_stages_fully()
    atomicity.write_no_metadata_of_merge_tables()
    failures.answer_failures_as_errors()
    gaps.accept_settings_without_effect()
    gaps.remove_staged_files()
    gaps.drop_stages()
    atomicity.run_merge_and_copy_in_one_transaction()
    sessions.answer_logins_fully(journal)
    sessions.note_statements(journal)
    sessions.end_forgotten_sessions()
