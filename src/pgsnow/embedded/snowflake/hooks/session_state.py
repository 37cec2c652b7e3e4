"""State of one session that the repairs need."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

LOCK_SECONDS = 10.0
"""How long a statement waits for another transaction. The real default is 12 hours; parameter
LOCK_TIMEOUT."""


@dataclass
class SessionState:
    """The login's number, user, role, warehouse and query tag, and the state of the transaction."""

    number: int = 0
    user: str | None = None
    role: str | None = None
    warehouse: str | None = None
    tag: str = ""
    lock_seconds: float = LOCK_SECONDS
    open: bool = False
    """True between BEGIN and COMMIT or ROLLBACK."""
    lost: bool = False
    """True while an explicit transaction is open that DuckDB has aborted."""
    running: threading.RLock = field(default_factory=threading.RLock)
    """Held by each statement of a transaction while it runs."""
    expired: str | None = None
    """The kind of expiry, see sessions/expiry.py; None: the session has not expired."""


def state_of(session: Any) -> SessionState:
    """The state of a fakesnow connection, created by the first call."""
    state: SessionState | None = getattr(session, "pgsnow_state", None)
    if state is None:
        state = session.pgsnow_state = SessionState()
    return state
