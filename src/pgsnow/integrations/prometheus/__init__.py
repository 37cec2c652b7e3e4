"""Metrics for Prometheus, computed from the ledger at each scrape."""
