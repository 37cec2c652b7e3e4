"""Changes from the log of which a run must read rows from the source."""
