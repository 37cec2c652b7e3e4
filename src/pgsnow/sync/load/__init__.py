"""Loading a target: one `Loader` (loader.py) per way, one `choose` (choose.py) that picks it for a run.

merge.py          changed rows, and small batches of any read
direct_copy.py    a full read into a target without older rows
replace.py        a whole content, in place of the target's or added to it
shadow_table.py   a backfill into a shadow table, which then replaces the target's content
deferred.py       batches that are staged now and loaded by a later run

Two more will be modules beside these, each with its statements in snowflake/load and snowflake/sql, and a line in
`choose`: deletes.py (keys that are gone from the source) and log_changes.py (changes read from the replication log).
destination.py holds what a run asks of its target besides loading; a test may replace it as a whole.
"""
