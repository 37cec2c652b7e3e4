"""What Snowflake is told to read from a bucket, word for word, and what people are shown of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgsnow.model.config.sync_config import LoadMethod
from pgsnow.model.errors import TargetQueryFailed
from pgsnow.model.settings.settings import Settings
from pgsnow.model.table import TargetName
from pgsnow.snowflake.redacted import Confidential
from pgsnow.snowflake.stage.s3_stage import S3Stage
from pgsnow.snowflake.stage.stage import Stages

TARGET = TargetName("DB", "ANALYTICS", "USERS")
BATCH, FIRST = "public.users/17-3", "public.users/17-0"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
KEYS = {"S3_ACCESS_KEY": "AKIAIOSFODNN7EXAMPLE", "S3_SECRET": SECRET}
SERVERS = {
    "POSTGRES_DSN": "postgresql://u@h/d",
    "SNOWFLAKE_ACCOUNT": "a",
    "SNOWFLAKE_USER": "u",
    "SNOWFLAKE_DATABASE": "DB",
    "SNOWFLAKE_WAREHOUSE": "w",
    "SNOWFLAKE_PAT": "p",
}
COPY = 'COPY INTO "DB"."ANALYTICS"."USERS__PGSNOW_17_3" FROM '
OPTIONS = (
    " FILE_FORMAT=(TYPE=PARQUET NULL_IF=() USE_LOGICAL_TYPE=TRUE BINARY_AS_TEXT=FALSE USE_VECTORIZED_SCANNER=FALSE)"
    " MATCH_BY_COLUMN_NAME=CASE_INSENSITIVE ON_ERROR=ABORT_STATEMENT TRUNCATECOLUMNS=FALSE PURGE=FALSE"
)


def staging(**env: str) -> S3Stage:
    settings = Settings.from_env({**SERVERS, "S3_BUCKET": "lake", "S3_PREFIX": "team/pgsnow/", **env})
    chosen = Stages.of(settings).serving(LoadMethod.S3)
    assert isinstance(chosen, S3Stage)
    return chosen


def test_a_storage_integration_comes_before_keys_which_then_stay_here() -> None:
    copy = staging(S3_STORAGE_INTEGRATION="PGSNOW_S3", **KEYS).copy(TARGET, BATCH, BATCH)
    assert copy == f"{COPY}'s3://lake/team/pgsnow/public.users/17-3/' STORAGE_INTEGRATION=PGSNOW_S3{OPTIONS}"


def test_googles_storage_is_read_as_gcs_by_an_integration() -> None:
    google = {"S3_ENDPOINT_URL": "https://storage.googleapis.com", **KEYS}
    copy = staging(**google, S3_STORAGE_INTEGRATION="PGSNOW_GCS").copy(TARGET, BATCH, BATCH)
    assert (
        copy == f"{COPY}'gcs://lake/team/pgsnow/public.users/17-3/' STORAGE_INTEGRATION=PGSNOW_GCS{OPTIONS}"
    )


def test_an_external_stage_stands_for_bucket_and_prefix() -> None:
    copy = staging(S3_STAGE="ops.lake_stage").copy(TARGET, BATCH, BATCH)
    assert copy == f'{COPY}@"DB"."OPS"."LAKE_STAGE"/public.users/17-3/{OPTIONS}'


def test_keys_are_in_what_is_sent_and_masked_in_what_is_shown() -> None:
    copy = staging(**KEYS, S3_SESSION_TOKEN="t/k'n").copy(TARGET, BATCH, BATCH)
    assert isinstance(copy, Confidential)
    place = "'s3://lake/team/pgsnow/public.users/17-3/'"
    assert copy.sent.reveal() == (
        f"{COPY}{place} CREDENTIALS=(AWS_KEY_ID='AKIAIOSFODNN7EXAMPLE' AWS_SECRET_KEY='{SECRET}'"
        f" AWS_TOKEN='t/k''n'){OPTIONS}"
    )
    masked = f"{COPY}{place} CREDENTIALS=(AWS_KEY_ID='***' AWS_SECRET_KEY='***' AWS_TOKEN='***'){OPTIONS}"
    assert str(copy) == copy.shown == masked
    assert SECRET not in repr(copy)


def test_another_batchs_staging_table_may_take_the_rows_again() -> None:
    copy = str(staging(S3_STORAGE_INTEGRATION="I").copy(TARGET, BATCH, FIRST, force=True))
    assert copy.startswith('COPY INTO "DB"."ANALYTICS"."USERS__PGSNOW_17_0" FROM \'s3://lake/')
    assert "/public.users/17-3/'" in copy
    assert copy.endswith(" FORCE=TRUE")


def test_what_is_not_a_statement_is_told_as_a_comment() -> None:
    place = staging(**KEYS)
    where = "s3://lake/team/pgsnow/public.users/17-3/"
    (upload,) = place.put(TARGET, BATCH, [Path("/tmp/part-0000.parquet")])
    assert upload.text == f"-- upload part-0000.parquet to {where}"
    assert place.remove(TARGET, BATCH).text == f"-- delete {where}"


@pytest.mark.parametrize("shown", [f"unexpected '{SECRET}'", f"unexpected '{SECRET[:9]}…", f"at {SECRET}'…"])
def test_a_refusal_that_quotes_the_statement_comes_without_keys(shown: str) -> None:
    """Whole, or as far as the message goes; and without the driver's error, which keeps the statement."""

    def refuse(text: str) -> None:
        try:
            raise ValueError(text)
        except ValueError as cause:
            raise TargetQueryFailed(f"Snowflake: {shown}", code="1003") from cause

    copy = staging(**KEYS).copy(TARGET, BATCH, BATCH)
    assert isinstance(copy, Confidential)
    with pytest.raises(TargetQueryFailed) as caught:
        copy.send(refuse)
    assert SECRET[:4] not in str(caught.value)
    assert "***" in str(caught.value)
    assert (caught.value.code, caught.value.__cause__, caught.value.__context__) == ("1003", None, None)


def test_a_batch_of_another_form_is_refused() -> None:
    with pytest.raises(ValueError, match="not a batch's name"):
        staging(**KEYS).copy(TARGET, "a b/17-3", BATCH)
