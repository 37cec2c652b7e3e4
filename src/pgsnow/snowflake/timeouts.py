"""How long the connector waits, and how often it tries again, where its own settings cannot say it.

Found in snowflake-connector-python 4.8 (connection.py, cursor.py, network.py, auth/by_plugin.py):
- one socket timeout serves connecting, login and statements alike. Below 45 s it would cut off statements, since
  the server holds a request that long before it says "still running"; at login it keeps a dead host for minutes;
- `network_timeout` bounds the retries of a request, and also cancels every statement that runs longer.
"""

from __future__ import annotations

from functools import cache
from typing import Any

LOGIN_SECONDS = 8
"""For one answer while logging in; the connector asks twice (its REQUESTS_RETRY)."""
LOGIN_RETRY_SECONDS = 10
"""No new attempt at a login begins after this."""
ANSWER_SECONDS = 120
"""For one answer to a statement."""
RETRY_SECONDS = 15
"""A request that fails is not sent again later than this after it was first sent."""
STATEMENT_SECONDS = 3_600
"""The server cancels a statement that runs longer."""
CANCEL_SECONDS = STATEMENT_SECONDS + 60
"""Then the client would."""


@cache
def connection_class() -> type[Any]:
    """SnowflakeConnection, with these limits. Imports the connector."""
    from snowflake.connector import SnowflakeConnection as Stock

    def socket_timeout(self: Any) -> int:
        logged_in = self.rest is not None and self.rest.token is not None
        return ANSWER_SECONDS if logged_in else LOGIN_SECONDS

    def cmd_query(self: Any, *args: Any, **kwargs: Any) -> Any:
        return Stock.cmd_query(self, *args, **{**kwargs, "timeout": RETRY_SECONDS})

    body = {"socket_timeout": property(socket_timeout), "cmd_query": cmd_query}
    return type("PatientConnection", (Stock,), body)
