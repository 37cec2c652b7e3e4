"""Everything that talks to Postgres: connections, the catalog, the horizon, reads, audits."""
