"""Saves the results of a check in the ledger, for people who only see the status page."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from pgsnow.ledger.ledger import Ledger
from pgsnow.model.config.sync_config import SyncConfig
from pgsnow.model.errors import PgsnowError
from pgsnow.model.settings.redaction import redacted
from pgsnow.model.settings.settings import Settings
from pgsnow.operations.check.result import CheckResult
from pgsnow.sync.engine import holder


def save_results(config: SyncConfig, settings: Settings, results: Sequence[CheckResult]) -> bool:
    """Save the results of all checks, with secrets masked. False: there is no ledger that can be written, which a
    check has reported; it is not created for this."""
    secrets = settings.secrets()
    rows = [{name: redacted(text, secrets) for name, text in result.to_json().items()} for result in results]
    with closing(Ledger(settings.ledger, config.ledger_schema)) as ledger:
        try:
            ledger.checks.save(rows, holder())
        except PgsnowError:
            return False
    return True
