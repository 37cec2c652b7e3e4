"""One run of one table, its backfill included."""
