"""Loading a target: one `Loader` (loader.py) per way to load, and `choose` (choose.py), which selects one for a run.

merge.py          changed rows, and small batches of any read
direct_copy.py    a full read into a target without older rows
replace.py        a complete content that replaces the target's content, or is appended to it
shadow_table.py   a backfill into a shadow table, which then replaces the target's content
deferred.py       batches that are staged now and loaded by a later run

Further loaders will be modules of this package, each with its statements in snowflake/load and snowflake/sql, and a
line in `choose`: deletes.py (keys that were deleted in the source) and log_changes.py (changes read from the
replication log). destination.py holds everything else that a run needs from its target; a test may replace it as a
whole.
"""
