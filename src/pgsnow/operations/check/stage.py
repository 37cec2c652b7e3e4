"""Check of Snowflake's own stages: whether a file can be uploaded, listed and removed. Uploads do not go to Snowflake
itself but to the cloud storage of its account, which a firewall may block."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pgsnow.model.errors import PgsnowError
from pgsnow.model.table import TargetName
from pgsnow.operations.check.result import CheckResult, failed, ok
from pgsnow.snowflake.names import schema_of, stage_of
from pgsnow.snowflake.schema.required_ddl import TargetInspector
from pgsnow.snowflake.session import Session
from pgsnow.snowflake.sql import statements as sql

NAME, USER_STAGE = "snowflake stage", "~"
FILE, CONTENT = "pgsnow-check.txt", b"pgsnow check"


def check_stages(
    session: Session, inspector: TargetInspector, targets: frozenset[TargetName]
) -> Iterator[CheckResult]:
    """One result for the stage of each schema that holds these targets, or for the stage of the user, which is in the
    same storage, if there is none yet. Ends at the first failure, because an upload that is blocked takes long."""
    schemas = sorted({target.sibling("") for target in targets})
    try:
        places = [stage_of(target) for target in schemas if inspector.has_stage(target)]
        for place in places or [USER_STAGE]:
            yield _tried(session, place)
    except PgsnowError as error:
        where = ", ".join(schema_of(target) for target in schemas)
        yield failed(NAME, f"{where}: {error}", error.advice)


def _tried(session: Session, place: str) -> CheckResult:
    """Upload, list and remove a small file. Raises what Session.execute raises."""
    folder = f"@{place}/pgsnow-check-{secrets.token_hex(8)}"
    with tempfile.TemporaryDirectory(prefix="pgsnow-check-") as made:
        path = Path(made) / FILE
        path.write_bytes(CONTENT)
        uploaded = session.execute(sql.put(path, folder))
    try:
        listed = session.execute(f"LIST {folder}/").column("name")
    finally:
        session.execute(f"REMOVE {folder}/")
    if uploaded.column("status") != ["UPLOADED"] or not any(str(name).endswith(FILE) for name in listed):
        fix = (
            "Grant READ and WRITE on the stage to SNOWFLAKE_ROLE, or drop the stage: the next run creates it."
        )
        return failed(NAME, f"{place}: the file that was uploaded is not listed", fix)
    shown = "the user's stage (pgsnow's own does not exist yet)" if place == USER_STAGE else place
    return ok(NAME, f"{shown}: a file can be uploaded, listed and removed")
