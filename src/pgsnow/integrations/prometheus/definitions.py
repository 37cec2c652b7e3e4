"""Every metric: its name, type, labels, and what it means. docs/metrics.md has the same list.

Names have base units, and counters end with `_total` (Prometheus docs, "Metric and label naming"). The first four are
the plan's; they are untyped, because their names fit no type.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. kind: gauge, counter or untyped. help: one line, without a dot at the end."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()


PLAN = (
    Metric("sync_success_count", "untyped", "Tables whose last run ended with ok, idle or partial"),
    Metric("sync_failure_count", "untyped", "Tables whose last run ended with error"),
    Metric("last_sync_duration_seconds", "untyped", "Duration of the newest tick in the run log"),
    Metric(
        "rows_processed",
        "untyped",
        "Rows that the table's last run inserted and updated in Snowflake",
        ("table",),
    ),
)
WHOLE = (
    Metric(
        "pgsnow_build_info", "gauge", "Always 1; the version of the process that is scraped", ("version",)
    ),
    Metric("pgsnow_config_valid", "gauge", "1 if sync_config.yaml and the settings can be used, else 0"),
    Metric(
        "pgsnow_ledger_up", "gauge", "1 if the ledger was read for this scrape; 0: most metrics are missing"
    ),
    Metric(
        "pgsnow_sync_state",
        "gauge",
        "1 for the word that the status page shows, 0 for the others",
        ("state",),
    ),
    Metric("pgsnow_sync_interval_seconds", "gauge", "Seconds between two ticks, as configured"),
    Metric("pgsnow_last_tick_timestamp_seconds", "gauge", "When a worker last began a tick"),
    Metric("pgsnow_workers", "gauge", "Worker processes that began a tick within the last three intervals"),
    Metric("pgsnow_tables", "gauge", "Configured tables by state", ("state",)),
    Metric(
        "pgsnow_requests_open",
        "gauge",
        "Actions of people (run, resync, replay) that no worker has finished yet",
    ),
)
TABLE = (
    Metric(
        "pgsnow_table_info", "gauge", "Always 1; target and mode of the table", ("table", "target", "mode")
    ),
    Metric("pgsnow_table_state", "gauge", "Always 1; the table's state is a label", ("table", "state")),
    Metric(
        "pgsnow_freshness_seconds",
        "gauge",
        "Age of the moment up to which every change of the source is in Snowflake",
        ("table",),
    ),
    Metric(
        "pgsnow_freshness_limit_seconds",
        "gauge",
        "Freshness above which the table is behind, by its schedule",
        ("table",),
    ),
    Metric(
        "pgsnow_read_freshness_seconds",
        "gauge",
        "The same, with rows that are staged and not loaded yet",
        ("table",),
    ),
    Metric("pgsnow_last_run_timestamp_seconds", "gauge", "When the last finished run began", ("table",)),
    Metric(
        "pgsnow_last_success_timestamp_seconds", "gauge", "When the last successful run began", ("table",)
    ),
    Metric(
        "pgsnow_next_attempt_timestamp_seconds",
        "gauge",
        "When scheduled runs try a table again that fails",
        ("table",),
    ),
    Metric(
        "pgsnow_consecutive_failures",
        "gauge",
        "Runs that ended with error since the last success",
        ("table",),
    ),
    Metric(
        "pgsnow_rejected_rows_open",
        "gauge",
        "Rejected rows that are neither replayed nor dismissed",
        ("table",),
    ),
    Metric(
        "pgsnow_rejected_rows_stale", "gauge", "Those of which Snowflake has an older version", ("table",)
    ),
    Metric("pgsnow_staged_rows", "gauge", "Rows that are staged and not loaded yet (load_every)", ("table",)),
    Metric("pgsnow_staged_bytes", "gauge", "Bytes of these rows", ("table",)),
    Metric(
        "pgsnow_slowed_load_seconds",
        "gauge",
        "Seconds between two loads of a table that the budget slows",
        ("table",),
    ),
    Metric(
        "pgsnow_lease_age_seconds", "gauge", "For how long a worker has been syncing the table", ("table",)
    ),
    Metric("pgsnow_backfill_chunks", "gauge", "Chunks of the backfill under way", ("table",)),
    Metric("pgsnow_backfill_chunks_left", "gauge", "Chunks of it that are not loaded yet", ("table",)),
    Metric("pgsnow_verify_age_seconds", "gauge", "Age of the newest comparison with the source", ("table",)),
    Metric(
        "pgsnow_verify_differences",
        "gauge",
        "Rows that were found to differ and are not repaired",
        ("table",),
    ),
    Metric(
        "pgsnow_deletes_pending_seconds",
        "gauge",
        "For how long deleted rows have not been searched for",
        ("table",),
    ),
)
COUNTERS = (
    Metric("pgsnow_runs_total", "counter", "Runs by how they ended", ("table", "status")),
    Metric("pgsnow_run_seconds_total", "counter", "Duration of all runs", ("table",)),
    Metric("pgsnow_run_phase_seconds_total", "counter", "Duration of all runs by phase", ("table", "phase")),
    Metric("pgsnow_rows_read_total", "counter", "Rows read from Postgres", ("table",)),
    Metric(
        "pgsnow_rows_total", "counter", "Rows inserted, updated, deleted and rejected", ("table", "operation")
    ),
    Metric("pgsnow_uploaded_bytes_total", "counter", "Bytes of Parquet files that were loaded", ("table",)),
    Metric("pgsnow_statements_total", "counter", "Statements sent to Snowflake", ("table",)),
    Metric(
        "pgsnow_warehouse_seconds_total",
        "counter",
        "Seconds of the statements that need a warehouse",
        ("table",),
    ),
    Metric("pgsnow_credits_total", "counter", "Estimated credits of the table's runs", ("table",)),
)
WAREHOUSE = (
    Metric(
        "pgsnow_warehouse_resumes_total",
        "counter",
        "How often runs have resumed the warehouse",
        ("warehouse",),
    ),
    Metric(
        "pgsnow_warehouse_awake_seconds_total",
        "counter",
        "For how long runs have kept the warehouse awake",
        ("warehouse",),
    ),
    Metric("pgsnow_warehouse_credits_total", "counter", "Estimated credits for this time", ("warehouse",)),
    Metric("pgsnow_credit_price", "gauge", "What a credit costs, as configured"),
    Metric("pgsnow_budget_credits", "gauge", "Credits that loads may use today, as configured"),
    Metric("pgsnow_budget_spent_credits", "gauge", "Estimated credits since the day began (UTC)"),
    Metric("pgsnow_budget_forecast_credits", "gauge", "Expected credits of the whole day"),
    Metric("pgsnow_budget_conflict", "gauge", "1 if the budget cannot be kept, else 0"),
)
LOG = (
    Metric("pgsnow_log_up", "gauge", "1 if the source's write-ahead log can be read, else 0", ("slot",)),
    Metric(
        "pgsnow_log_retained_bytes", "gauge", "Log that the slot holds back on the source's disk", ("slot",)
    ),
    Metric("pgsnow_log_retained_limit_bytes", "gauge", "Log that it may hold back", ("slot",)),
    Metric(
        "pgsnow_log_safe_bytes",
        "gauge",
        "Log that may be written until the server gives the slot up",
        ("slot",),
    ),
    Metric(
        "pgsnow_log_spilled_bytes_total",
        "counter",
        "Bytes that decoding has written to the source's disk",
        ("slot",),
    ),
    Metric(
        "pgsnow_log_confirmed_bytes", "gauge", "Position in the log up to which it was confirmed", ("slot",)
    ),
    Metric(
        "pgsnow_log_newest_commit_timestamp_seconds",
        "gauge",
        "When the newest transaction that was read has committed",
        ("slot",),
    ),
    Metric(
        "pgsnow_log_generation", "gauge", "How often a slot was made: a higher one was made again", ("slot",)
    ),
)
METRICS = (*PLAN, *WHOLE, *TABLE, *COUNTERS, *WAREHOUSE, *LOG)
