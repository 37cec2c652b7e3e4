"""Check of the bucket: whether part files can be written, listed and deleted, and whether Snowflake sees them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

from pgsnow.model.errors import AccessDenied, PgsnowError, TableError
from pgsnow.model.settings.settings import S3Settings, Settings
from pgsnow.operations.check.result import CheckResult, failed, ok, warning
from pgsnow.snowflake.session import Session
from pgsnow.snowflake.stage.s3_stage import S3Stage
from pgsnow.snowflake.stage.stage import Stages

NAME, BODY = "s3 bucket", b"pgsnow check"


def check_bucket(session: Session, settings: Settings) -> Iterator[CheckResult]:
    """Put, list and delete a small object, with the same calls as the loads of a table."""
    staging = Stages.of(settings).s3
    if settings.s3 is None or staging is None:
        return
    folder = f"check-{uuid.uuid4().hex}/"
    try:
        yield from _written(session, settings.s3, staging, folder)
    except PgsnowError as error:
        yield failed(NAME, str(error), error.advice)
    for text in settings.s3.warnings:
        yield warning(NAME, text, "See `pgsnow explain going-live#7-a-bucket`.")


def _written(session: Session, settings: S3Settings, staging: S3Stage, folder: str) -> Iterator[CheckResult]:
    key = f"{settings.prefix}/{folder}object"
    staging.bucket.put(key, BODY)
    try:
        if key not in staging.bucket.keys(f"{settings.prefix}/{folder}"):
            yield failed(
                NAME, f"{settings.url}: the object that was written is not listed", "Check S3_BUCKET."
            )
            return
        found = _seen_by_snowflake(session, settings, staging, folder)
    finally:
        staging.bucket.clear(f"{settings.prefix}/{folder}")
    yield found or ok(NAME, settings.display)


def _seen_by_snowflake(
    session: Session, settings: S3Settings, staging: S3Stage, folder: str
) -> CheckResult | None:
    """A failed result if the stage does not list the object. Without a stage, None: an integration cannot be
    asked."""
    statement = staging.list_through_stage(folder)
    if statement is None:
        return None
    fix = f"Make the stage's URL {settings.url}, and grant its USAGE to SNOWFLAKE_ROLE."
    try:
        if session.execute(statement).rows:
            return None
        return failed(
            NAME, f"stage {settings.stage} does not list the object that was written to {settings.url}", fix
        )
    except (TableError, AccessDenied) as error:
        return failed(NAME, str(error), fix)
