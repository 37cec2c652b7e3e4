"""What pgsnow remembers, in Postgres: checkpoints, leases, quarantine, run log."""
