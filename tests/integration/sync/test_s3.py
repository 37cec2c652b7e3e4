"""Part files through a bucket: written there, read from there by Snowflake, and gone afterwards."""

from __future__ import annotations

import logging
from typing import Any

import boto3
import pytest

from pgsnow.model.errors import StagingAccessDenied, StagingRefused, StagingUnavailable
from pgsnow.sync.check import run_checks
from pgsnow.sync.preview import preview
from tests.world import World


@pytest.fixture
def client(s3_env: dict[str, str]) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=s3_env["S3_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


@pytest.fixture
def s3_world(world: World, s3_env: dict[str, str]) -> World:
    """A world whose users go through a bucket, with rows to load."""
    world.through(s3_env)
    world.tables[0]["load"] = "s3"
    world.sql("insert into users select g, 'n' || g, g, '{\"a\": [1]}' from generate_series(1, 500) g")
    return world


def tick(world: World) -> Any:
    with world.engine() as engine:
        (table,) = engine.tick().tables
        return table


def test_rows_arrive_through_the_bucket_and_nothing_is_left_in_it(s3_world: World, client: Any) -> None:
    s3_world.tables[0] |= {"max_rows_per_load": 200, "batch_size": 100}
    assert tick(s3_world).ok
    s3_world.sql("update users set name = 'changed', updated_at = now() where id < 10")
    assert tick(s3_world).ok
    s3_world.assert_equal()
    assert s3_world.leftovers() == []
    database = s3_world.settings.snowflake.database
    assert s3_world.emulator.statements(f"PUT file://") == [] or not [
        text for text in s3_world.emulator.statements("PUT ") if database in text
    ]
