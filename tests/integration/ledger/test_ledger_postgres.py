"""The conformance suite, run against Postgres."""

from __future__ import annotations

from tests.integration.ledger.conformance import LedgerConformance


class TestPostgresLedger(LedgerConformance):
    """`crew` comes from conftest.py."""
