"""Postgres as the source: connections, the catalog, incremental logic, readers, and the COPY decoder."""
