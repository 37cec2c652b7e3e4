"""Loaded files in `pgsnow plan`: how much waits in the stages to be removed."""

from __future__ import annotations

from pgsnow.ledger.errors import unless_missing
from pgsnow.ledger.history.loaded_files import WaitingFiles
from pgsnow.ledger.ledger import Ledger
from pgsnow.model.config.sync_config import SyncConfig
from pgsnow.model.settings.settings import Settings


def waiting_notes(config: SyncConfig, settings: Settings) -> list[str]:
    """A sentence for each place where loaded files wait. Reads the ledger alone. Raises LedgerUnavailable,
    LedgerAccessDenied."""
    ledger = Ledger(settings.ledger, config.ledger_schema)
    try:
        return [str(files) for files in unless_missing(ledger.loaded_files.waiting, list[WaitingFiles]())]
    finally:
        ledger.close()
