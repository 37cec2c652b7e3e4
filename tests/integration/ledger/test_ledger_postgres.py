"""The ledger in Postgres keeps the promises of `Ledger`."""

from __future__ import annotations

from tests.integration.ledger.conformance import LedgerConformance


class TestPostgresLedger(LedgerConformance):
    """`crew` comes from conftest.py."""
