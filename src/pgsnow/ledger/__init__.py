"""The ledger: pgsnow's own tables in Postgres, with checkpoints, leases, rejected rows and the run log."""
