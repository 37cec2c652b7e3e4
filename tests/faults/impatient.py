"""Shorter waits, so that a test of a silent server takes seconds."""

from __future__ import annotations

from types import ModuleType

import pytest

from pgsnow.ledger import session as ledger_session
from pgsnow.postgres import connection, silence
from pgsnow.postgres.copy import copy_out, socket_channel, tls_channel
from pgsnow.postgres.replication import connection as log_connection
from pgsnow.postgres.replication import session as log_session

SHORT = 1.0


def be_impatient(patch: pytest.MonkeyPatch) -> None:
    """Ask after a silent server after a second instead of a minute, and wait a second for its answer."""
    modules: list[ModuleType] = [silence, copy_out, socket_channel, tls_channel, log_connection, log_session]
    for module in modules:
        patch.setattr(module, "PATIENCE", SHORT)
    patch.setattr(silence, "ANSWER_SECONDS", 1)
    patch.setattr(silence, "ATTEMPTS", 2)
    patch.setitem(ledger_session._CLIENT, "connect_timeout", 1)
    patch.setattr(ledger_session, "sqlstate_of_refusal", lambda _: None)
    patch.setattr(connection.PatientConnection, "patience", SHORT)
    patch.setattr(ledger_session.LedgerConnection, "patience", SHORT)
