"""A Snowflake emulator in a separate process: fakesnow's server with repairs, and data on disk.

A repair's docstring begins with `Stock:` and what fakesnow does without the repair.
It speaks Snowflake's own protocol over HTTP on loopback, so the real connector connects to it. It accepts any
user; only the user `pgsnow` needs its password. docs/emulator.md lists the differences from the real service.
"""

from __future__ import annotations

import json
import sys
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from pgsnow.embedded.child import Child
from pgsnow.embedded.stored import StoredServer

ACCOUNT, USER, PASSWORD, WAREHOUSE = "pgsnow", "pgsnow", "pgsnow", "DEV_WH"
DATABASE, SCHEMA = "ANALYTICS_DB", "PUBLIC"
HTTP_SECONDS = 30.0
NOTHING_AFTER = 2**62
"""No statement has a larger number: the statements are left out of the answer."""


class EmbeddedSnowflake(StoredServer):
    """One emulator. Databases and stages live in `data_dir` and survive `stop` and `kill`."""

    name = "snowflake emulator"

    def __init__(
        self,
        data_dir: Path | str,
        port: int | None = None,
        *,
        idle_seconds: float | None = None,
        threads: int | None = None,
    ) -> None:
        """A transaction whose client says nothing for `idle_seconds` (default 300) is rolled back. threads: those that
        execute one statement, by default one for each core; one is enough for small tables, and costs less."""
        super().__init__(data_dir, port)
        self._idle_seconds = idle_seconds
        self._threads = threads

    def settings_env(self, database: str = DATABASE, schema: str = SCHEMA) -> dict[str, str]:
        """Environment variables with the settings of this server."""
        return {
            "SNOWFLAKE_ACCOUNT": ACCOUNT,
            "SNOWFLAKE_USER": USER,
            "SNOWFLAKE_PASSWORD": PASSWORD,
            "SNOWFLAKE_WAREHOUSE": WAREHOUSE,
            "SNOWFLAKE_DATABASE": database,
            "SNOWFLAKE_SCHEMA": schema,
            "SNOWFLAKE_HOST": "127.0.0.1",
            "SNOWFLAKE_PORT": str(self.port),
            "SNOWFLAKE_PROTOCOL": "http",
        }

    def stats(self, *, after: int = 0, containing: str = "") -> dict[str, Any]:
        """`logins` so far, `sessions` open now, the number of the `last` statement (numbered from 1; 0: none), and the
        newest `statements` (number, text, session, tag, seconds, error): those with a larger number than `after` whose
        text contains `containing` (in any case), in order of arrival. The oldest ones are dropped."""
        query = urllib.parse.urlencode({"after": after, "containing": containing})
        return self._call("GET", f"stats?{query}")

    def connections(self) -> int:
        """Logins since the server started."""
        return int(self.stats(after=NOTHING_AFTER)["logins"])

    def sessions(self) -> int:
        """Sessions that are open now."""
        return int(self.stats(after=NOTHING_AFTER)["sessions"])

    def statements(self, containing: str = "") -> list[str]:
        """The texts of the newest statements that contain `containing` (in any case), in order of arrival."""
        return [str(entry["text"]) for entry in self.stats(containing=containing)["statements"]]

    def noted(self) -> int:
        """The number of the newest statement; 0: there was none."""
        return int(self.stats(after=NOTHING_AFTER)["last"])

    def statements_since(self, number: int, containing: str = "") -> list[str]:
        """The texts of the statements after the one with this number that contain `containing` (in any case)."""
        return [str(entry["text"]) for entry in self.stats(after=number, containing=containing)["statements"]]

    def create_database(self, name: str) -> None:
        """Create a database with a schema PUBLIC, without a login. Does nothing if it exists."""
        self._call("PUT", f"databases/{urllib.parse.quote(name)}")

    def drop_database(self, name: str) -> None:
        """Drop a database with its stages and files. Does nothing if it does not exist."""
        self._call("DELETE", f"databases/{urllib.parse.quote(name)}")

    def hide(self, name: str) -> None:
        """Let no session see this object, as if all privileges on it were revoked. name: in full, such as
        `DB.SCHEMA.TABLE`, `DB.SCHEMA` or `DB`, in the case that Snowflake stores, without quotes."""
        self._call("PUT", f"hidden/{urllib.parse.quote(name)}")

    def unhide(self, name: str) -> None:
        """Undo `hide`."""
        self._call("DELETE", f"hidden/{urllib.parse.quote(name)}")

    def read_buckets_at(self, endpoint: str) -> None:
        """Set the server of s3:// URLs, such as `http://127.0.0.1:9000`. Without one, COPY from them fails."""
        self._call("PUT", "s3", endpoint.encode())

    def answer_with(self, *errors: dict[str, Any]) -> None:
        """Answer statements, logins and uploads with errors from now on. Each error has `containing` (text of the
        statements, `LOGIN` or `UPLOAD`), `errno`, `sqlstate`, `message`, and optionally `database` and `times`; see
        sessions/scripted_errors.py. Replaces earlier errors; without arguments there are none."""
        self._call("PUT", "errors", json.dumps(errors).encode())

    def expire(self, database: str, what: str = "token") -> int:
        """Let all sessions in this database expire, and return how many there are. what: `token`, which the connector
        renews without a login (390112), `login`, so that it cannot be renewed (390114), or `session`: it no longer
        exists (390111)."""
        asked = json.dumps({"database": database, "what": what}).encode()
        return int(self._call("PUT", "expired", asked)["expired"])

    def hold(self, text: str) -> None:
        """Let the next statement that contains this text (in any case) run until `release`: it commits only then,
        whether or not its client still waits, unless it is cancelled."""
        self._call("PUT", "held", text.encode())

    def asked_for_held(self) -> int:
        """How many requests have come for the held statement: 2 if its client has asked for it again."""
        return int(self._call("GET", "held")["asked"])

    def release(self) -> int:
        """Let held statements begin; returns how many there were, without those that were cancelled."""
        return int(self._call("DELETE", "held")["released"])

    def _spawn(self) -> Child:
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        argv = [
            sys.executable,
            "-m",
            __name__,
            "--port",
            str(self.port),
            "--dir",
            str(self.data_dir.resolve()),
        ]
        if self._idle_seconds is not None:
            argv += ["--idle-seconds", str(self._idle_seconds)]
        if self._threads is not None:
            argv += ["--threads", str(self._threads)]
        return Child(argv, self.beside(".log"))

    def _ready(self) -> bool:
        try:
            self.noted()
        except OSError:
            return False
        return True

    def _call(self, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/pgsnow/{path}", body, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=HTTP_SECONDS) as response:
            answer: dict[str, Any] = json.load(response)
        return answer
