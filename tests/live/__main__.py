"""Everything that pgsnow relies on, asked of the Snowflake account that SNOWFLAKE_* name: `make live`.

It works in a schema of its own (PGSNOW_LIVE_…) of SNOWFLAKE_DATABASE, which it drops, also after Ctrl-C. With
`--emulator`, the emulator is asked: what the report shows then are its deviations.
Exit codes: 0 all answers are as expected, 1 some differ, 2 it could not begin, 130 Ctrl-C.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pgsnow.embedded.postgres import EmbeddedPostgres
from pgsnow.embedded.snowflake import EmbeddedSnowflake
from pgsnow.model.errors import PgsnowError
from pgsnow.model.settings.settings import Settings
from pgsnow.model.settings.snowflake import SnowflakeSettings
from pgsnow.model.table import TargetName
from pgsnow.snowflake.session import Session, connect
from tests.live.cases import CASES
from tests.live.contract import Answer, asked, own_schema
from tests.live.report import Cost, cost_of, written
from tests.live.syncs import sync_answers, sync_world

PREFIX = "PGSNOW_LIVE_"
NEEDED = """\
Set SNOWFLAKE_ACCOUNT, SNOWFLAKE_USER, SNOWFLAKE_PRIVATE_KEY_FILE, SNOWFLAKE_WAREHOUSE, SNOWFLAKE_DATABASE and
SNOWFLAKE_ROLE. The role needs USAGE on the warehouse, and CREATE SCHEMA on the database. docs/live-suite.md"""


def main(arguments: list[str]) -> int:
    """Run the suite; the exit code."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pgsnow-live-")))
        folder.chmod(0o711)  # as root, PostgreSQL runs as another user
        env = {name: value for name, value in os.environ.items() if name.startswith(("SNOWFLAKE_", "S3_"))}
        if "--emulator" in arguments:
            emulator = stack.enter_context(EmbeddedSnowflake(folder / "snowflake"))
            env = emulator.settings_env()
            emulator.create_database(env["SNOWFLAKE_DATABASE"])
        try:
            settings = Settings.from_env({"POSTGRES_DSN": "dbname=none", **env}).snowflake
            session = stack.enter_context(connect(settings, query_tag="pgsnow live suite"))
            cost = cost_of(session, settings.warehouse)
        except PgsnowError as error:
            print(error, NEEDED, sep="\n\n", file=sys.stderr)
            return 2
        return _run(session, settings, cost, env, folder)


def _run(session: Session, settings: SnowflakeSettings, cost: Cost, env: dict[str, str], folder: Path) -> int:
    print(cost.estimate)
    if cost.refusal:
        print(cost.refusal, file=sys.stderr)
        return 2
    for left in session.execute(f"SHOW SCHEMAS LIKE '{PREFIX}%'").column("name"):
        if left.startswith(PREFIX):
            print(f"An earlier run was killed, or is still running: DROP SCHEMA {left};")
    schema = TargetName(settings.database, f"{PREFIX}{secrets.token_hex(4).upper()}", "none")
    answers: list[Answer] = []
    try:
        for answer in _answers(session, schema, env, folder):
            answers.append(answer)
            print("as expected" if answer.as_expected else "DIFFERS    ", answer.case.promise, flush=True)
    except KeyboardInterrupt:
        print("Interrupted: the schema is dropped.", file=sys.stderr)
        return 130
    finally:
        print("\n" + written(answers, cost))
    return 0 if all(answer.as_expected for answer in answers) else 1


def _answers(session: Session, schema: TargetName, env: dict[str, str], folder: Path) -> Iterator[Answer]:
    with own_schema(session, schema, folder) as account:
        for case in CASES:
            yield asked(account, case)
    # The emulator keeps the files of a schema that was dropped, so the syncs have another one.
    schema = replace(schema, schema=f"{schema.schema}_SYNCS")
    with (
        own_schema(session, schema, folder),
        EmbeddedPostgres(folder / "postgres") as postgres,
        sync_world(postgres, env, schema, folder) as world,
    ):
        yield from sync_answers(world)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main(sys.argv[1:]))
