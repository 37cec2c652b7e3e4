"""S3_*: what is accepted, and what is refused in words that help."""

from __future__ import annotations

import pytest

from pgsnow.model.config.sync_config import parse_config
from pgsnow.model.errors import ConfigError
from pgsnow.model.settings.environment import Environment
from pgsnow.model.settings.s3 import S3Settings, s3_from

KEYS = {"S3_ACCESS_KEY": "AKIAEXAMPLE", "S3_SECRET": "hunter-two"}


def read(**env: str) -> S3Settings | None:
    environment = Environment(env)
    found = s3_from(environment)
    environment.finish()
    return found


def test_without_a_bucket_there_is_none_whatever_else_is_set() -> None:
    assert read(**KEYS) is None


def test_a_bucket_and_keys_are_enough() -> None:
    found = read(S3_BUCKET="lake", **KEYS)
    assert found is not None
    assert (found.url, found.region, found.endpoint_url) == ("s3://lake/pgsnow/", "", "")
    assert found.display == "s3://lake/pgsnow/, read by its keys"
    assert ["storage integration" in warning for warning in found.warnings] == [True]


def test_aws_own_chain_signs_where_snowflake_reads_by_an_integration() -> None:
    found = read(S3_BUCKET="lake", S3_PREFIX="/a/b/", S3_STORAGE_INTEGRATION="pgsnow_s3")
    assert found is not None
    assert (found.keys, found.warnings) == (None, ())
    assert found.display == "s3://lake/a/b/, read by integration pgsnow_s3"


def test_a_store_that_is_not_aws_needs_a_stage_in_snowflake() -> None:
    store = {"S3_BUCKET": "lake", "S3_ENDPOINT_URL": "https://minio.example:9000/", **KEYS}
    by_keys, by_stage = read(**store), read(**store, S3_STAGE="ops.lake")
    assert by_keys is not None
    assert by_stage is not None
    assert by_keys.endpoint_url == "https://minio.example:9000"
    assert any("S3_STAGE" in warning for warning in by_keys.warnings)
    assert by_stage.warnings == ()


def test_googles_storage_is_gcs_to_snowflake_and_takes_an_integration() -> None:
    google = {"S3_BUCKET": "lake", "S3_ENDPOINT_URL": "https://storage.googleapis.com", **KEYS}
    found = read(**google, S3_STORAGE_INTEGRATION="PGSNOW_GCS")
    assert found is not None
    assert (found.url, found.warnings) == ("gcs://lake/pgsnow/", ())
    by_stage = read(**google, S3_STAGE="ops.lake")
    assert by_stage is not None
    assert (by_stage.url, by_stage.warnings) == ("gcs://lake/pgsnow/", ())
    with pytest.raises(
        ConfigError, match="S3_STORAGE_INTEGRATION: is not set, and Snowflake can only read gcs://"
    ):
        read(**google)


@pytest.mark.parametrize(
    ("env", "says"),
    [
        ({}, "S3_STORAGE_INTEGRATION: is not set"),
        ({"S3_ACCESS_KEY": "x"}, "S3_SECRET: is not set"),
        ({"S3_SECRET": "hunter-two"}, "S3_ACCESS_KEY: is not set"),
        ({"S3_BUCKET": "s3://lake", **KEYS}, "S3_BUCKET: 's3://lake' is not a bucket's name"),
        ({"S3_PREFIX": "a//b", **KEYS}, "S3_PREFIX: 'a//b' cannot be used"),
        ({"S3_PREFIX": "it's", **KEYS}, "S3_PREFIX"),
        ({"S3_STORAGE_INTEGRATION": "a; drop"}, "S3_STORAGE_INTEGRATION: 'a; drop' is not a name"),
        ({"S3_STAGE": "a.b.c.d"}, "S3_STAGE: 'a.b.c.d' is not a name"),
        ({"S3_ENDPOINT_URL": "minio:9000", **KEYS}, "S3_ENDPOINT_URL: is not an address"),
        ({"S3_ENDPOINT_URL": "http://u:hunter-two@h", **KEYS}, "S3_ENDPOINT_URL: is not an address"),
    ],
)
def test_what_cannot_work_is_told_with_its_fix_and_no_secret(env: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(**{"S3_BUCKET": "lake", **env})
    assert says in str(caught.value)
    assert "hunter-two" not in str(caught.value)


def test_a_table_that_needs_a_bucket_says_so_before_anything_runs() -> None:
    table = {"source": "public.users", "target": "users", "pk": "id", "watermark_column": "updated_at"}
    config = parse_config({"tables": [{**table, "load": "s3"}]}, file="sync_config.yaml", env={})
    config.check_staging(bucket=True)
    with pytest.raises(ConfigError, match=r"public.users: load: s3 needs a bucket"):
        config.check_staging(bucket=False)
