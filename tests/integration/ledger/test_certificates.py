"""Certificates in the ledger: written by commands beside a run, and by a run under its claim."""

from __future__ import annotations

import pytest

from pgsnow.model.comparison.certificate import (
    Certificate,
    ComparisonMethod,
    OpenDifferences,
    Round,
    Verification,
)
from pgsnow.model.errors import LeaseLost
from tests.integration.ledger.crew import PostgresCrew

CERTIFICATE = Certificate(
    ComparisonMethod.CONTENT, "verify", "2024-05-01T10:00:00+00:00", "2024-05-01T10:01:00+00:00"
)
FOUND = OpenDifferences({"missing": 1}, CERTIFICATE.began_at, ("7",))
ROUND = Round(CERTIFICATE, 1, 3, "shape")


def test_a_command_keeps_the_round_that_a_run_has_stored(crew: PostgresCrew) -> None:
    ledger = crew.worker()
    [claim], _ = ledger.leases.claim(["public.users"], run_id="r1", holder="h")
    ledger.certificates.save(claim, Verification(round=ROUND), [("5",), ("a\0b",)])
    ledger.certificates.record("public.users", CERTIFICATE, FOUND)
    assert ledger.certificates.of("public.users") == Verification(
        {ComparisonMethod.CONTENT: CERTIFICATE}, ROUND, FOUND
    )
    assert len(ledger.certificates.bounds("public.users")) == 2
    [row] = ledger.run_log.watermarks()
    assert Verification.from_json(row.verification).differences == FOUND


def test_a_run_that_has_lost_its_table_stores_nothing(crew: PostgresCrew) -> None:
    ledger = crew.worker()
    [claim], _ = ledger.leases.claim(["public.users"], run_id="r1", holder="h")
    ledger.leases.release([claim])
    ledger.leases.claim(["public.users"], run_id="r2", holder="h")
    with pytest.raises(LeaseLost):
        ledger.certificates.save(claim, Verification(round=ROUND))
    assert ledger.certificates.of("public.users") == Verification()


def test_a_table_that_has_no_row_gets_no_certificate(crew: PostgresCrew) -> None:
    """It was never synced by this ledger."""
    ledger = crew.worker()
    ledger.certificates.record("public.other", CERTIFICATE, None)
    assert ledger.certificates.of("public.other") == Verification()
    assert ledger.run_log.watermarks() == []
