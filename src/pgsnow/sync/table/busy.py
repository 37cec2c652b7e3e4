"""What a busy table takes and an idle tick does without: Arrow, Parquet, the way into Snowflake.

Imported with the first busy table of a process: that costs as much CPU as several idle ticks.
"""

from __future__ import annotations

from pgsnow.snowflake.session import begin_import
from pgsnow.sync.table.attempt import Attempt
from pgsnow.sync.table.replay import replay_keys
from pgsnow.sync.table.run import sync_table

__all__ = ["Attempt", "replay_keys", "sync_table"]

# The driver is by far the largest part, and nobody needs it while Postgres is looking for the rows.
begin_import()
