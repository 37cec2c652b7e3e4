"""Installs all repairs, in the order in which they wrap one another."""

from __future__ import annotations

import fakesnow.server

from pgsnow.embedded.snowflake.catalog import (
    creations,
    describe_table,
    external_tables,
    show_tables,
    stage_views,
    storage_options,
    warehouses,
)
from pgsnow.embedded.snowflake.hooks import descriptions, errors
from pgsnow.embedded.snowflake.sessions import (
    abandoned,
    expiry,
    lanes,
    late,
    retries,
    scripted_errors,
    sessions,
)
from pgsnow.embedded.snowflake.sessions.journal import Journal
from pgsnow.embedded.snowflake.stages import buckets, copy, copy_select, file_formats, staged_rows, stages
from pgsnow.embedded.snowflake.statements import (
    collations,
    gaps,
    hidden,
    insert_overwrite,
    limits,
    literal_lists,
    merge,
    transactions,
    tree_walks,
)
from pgsnow.embedded.snowflake.values import bindings, columns, divisions, texts, timestamps


def install(
    journal: Journal,
    idle_seconds: float,
    stores: buckets.Buckets,
    delayed: late.LateStatements,
    scripted: scripted_errors.ScriptedErrors,
) -> None:
    """Repairs fakesnow in this process. Call once, with the server's store in place, before the first
    request."""
    tree_walks.walk_only_where_needed()  # innermost: around fakesnow's own transformations
    descriptions.describe_results_by_the_cursor()
    _values()
    _statements()
    buckets.copy_from_buckets(stores)
    buckets.list_buckets(stores)
    staged_rows.select_from_stages(stores)
    views = stage_views.StageViews(fakesnow.server.shared_fs.duck_conn.cursor())
    stage_views.query_stages_by_views(views)
    external_tables.create_external_tables(views, stores)
    _whole_statements()
    _requests(journal, idle_seconds, delayed, scripted)


def _values() -> None:
    timestamps.keep_null_timestamps()
    bindings.bind_exactly()
    columns.keep_38_digits()
    columns.keep_json_digits()
    columns.enforce_no_keys()
    texts.trim_as_told()
    texts.write_by_format()
    texts.read_hexadecimal()
    texts.join_in_one_step()
    divisions.refuse_division_by_zero()


def _statements() -> None:
    creations.note_creations()
    copy.honour_copy_flags()
    copy.find_named_files()
    copy.describe_quoted_tables()
    copy.read_parquet_by_its_format()
    copy.match_names_in_any_script()
    copy.note_loads_beside_the_table()
    copy_select.copy_transformed()
    copy_select.copy_without_a_schema()
    merge.write_no_metadata_of_merge_tables()
    merge.refuse_ambiguous_merges()
    merge.replace_changed_rows()
    insert_overwrite.select_before_emptying()
    stages.describe_stages_fully()
    stages.put_with_a_known_compression()
    stages.put_to_quoted_places()
    stages.put_to_the_users_stage()
    stages.list_below_a_path()
    stages.remove_staged_files()
    stages.drop_stages()
    stages.create_stages_one_at_a_time()
    file_formats.create_formats_in_schemas()
    file_formats.show_and_drop_formats()
    gaps.answer_who_and_where()
    gaps.accept_settings_without_effect()
    gaps.honour_lock_timeout()
    gaps.create_databases_with_public()
    gaps.drop_databases()
    gaps.use_public()
    limits.refuse_beyond_limits()
    literal_lists.pass_by_long_lists()
    collations.collate_columns(known := collations.Collations())
    collations.compare_bytes(known)
    describe_table.describe_one_table(known)
    show_tables.show_tables_fully()
    storage_options.note_alterations()
    warehouses.show_warehouses()
    creations.swap_tables()
    creations.replace_by_clones()


def _whole_statements() -> None:
    """From the inside out: a transaction for each statement, Snowflake's error for its failure, and a retry
    while a lock is held."""
    transactions.run_several_statements_in_one_transaction()
    transactions.commit_before_ddl()
    transactions.follow_transactions()
    transactions.refuse_to_commit_what_was_lost()
    hidden.refuse_hidden_objects()
    errors.answer_failures_as_errors()
    transactions.wait_for_locks()


def _requests(
    journal: Journal,
    idle_seconds: float,
    delayed: late.LateStatements,
    scripted: scripted_errors.ScriptedErrors,
) -> None:
    lanes.run_side_by_side()
    abandoned.end_abandoned_transactions()
    late.run_late(delayed)  # before they are noted: a statement that waits has arrived
    sessions.answer_logins_fully()
    sessions.refuse_wrong_passwords()
    sessions.refuse_unknown_roles()
    scripted_errors.answer_with(scripted)
    sessions.count_logins(journal)
    sessions.note_statements(journal)
    sessions.end_forgotten_transactions(idle_seconds)
    sessions.forget_old_results()
    retries.answer_repeated_requests_once(delayed)
    expiry.answer_expired_sessions()  # outermost: the client sends the same request again
