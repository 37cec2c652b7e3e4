"""Part files through a bucket: written there, read from there by Snowflake, and gone afterwards."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from pgsnow.model.config.sync_config import LoadMethod
from pgsnow.model.errors import (
    LoadMismatch,
    PgsnowError,
    StagingRefused,
    StagingUnavailable,
    TargetQueryFailed,
)
from pgsnow.model.report import TableReport
from pgsnow.model.settings.s3 import S3Settings
from pgsnow.model.table import TargetName
from pgsnow.operations.check.check import run_checks
from pgsnow.operations.check.result import CheckResult, Level
from pgsnow.operations.plan.preview import preview
from pgsnow.snowflake.redacted import Confidential
from pgsnow.snowflake.session import connect
from pgsnow.snowflake.stage import bucket as bucket_module
from pgsnow.snowflake.stage.bucket import Bucket
from pgsnow.snowflake.stage.stage import Stages
from tests.world import World


@pytest.fixture
def client(s3_env: dict[str, str]) -> Any:
    """Somebody else's look at the store."""
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


@pytest.fixture
def bucket(s3_world: World) -> Bucket:
    return Bucket(settings_of(s3_world))


def settings_of(world: World) -> S3Settings:
    assert world.settings.s3 is not None
    return world.settings.s3


def tick(world: World, **options: Any) -> TableReport:
    with world.engine(**options) as engine:
        (table,) = engine.tick().tables
        return table


def objects(client: Any, world: World) -> list[str]:
    listed = client.list_objects_v2(Bucket=settings_of(world).bucket)
    return [found["Key"] for found in listed.get("Contents", ())]


def test_rows_arrive_through_the_bucket_and_nothing_is_left_in_it(s3_world: World, client: Any) -> None:
    s3_world.tables[0] |= {"max_rows_per_load": 200, "batch_size": 100}
    waiting: list[list[str]] = []
    assert tick(
        s3_world,
        observer=lambda event: waiting.append(objects(client, s3_world)) if event.phase == "put" else None,
    ).ok
    assert [[key.split("/")[:2] for key in keys] for keys in waiting] == [[["pgsnow", "public.users"]]] * 3
    s3_world.sql("update users set name = 'changed', updated_at = now() where id < 10")
    assert tick(s3_world).ok
    s3_world.assert_equal()
    assert s3_world.leftovers() == []
    copies = [
        text for text in s3_world.emulator.statements("COPY INTO") if settings_of(s3_world).bucket in text
    ]
    assert len(copies) == 4


def test_a_whole_table_goes_through_the_bucket_too(s3_world: World) -> None:
    s3_world.tables[0] |= {"mode": "full", "max_rows_per_load": 200, "batch_size": 100}
    del s3_world.tables[0]["watermark_column"]
    assert tick(s3_world).ok
    s3_world.assert_equal()
    assert s3_world.leftovers() == []


def test_files_of_an_earlier_run_are_swept_although_the_table_goes_another_way_by_now(
    s3_world: World, client: Any
) -> None:
    def crash(event: Any) -> None:
        if event.phase == "put":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tick(s3_world, observer=crash)
    assert len(objects(client, s3_world)) == 1
    s3_world.tables[0]["load"] = "stage"
    assert tick(s3_world).ok
    assert s3_world.leftovers() == []
    s3_world.assert_equal()


def _copy_of(world: World) -> Confidential:
    """A COPY with keys in it, into a table that is not there."""
    staging = Stages.of(world.settings).serving(LoadMethod.S3)
    copy = staging.copy(TargetName("NO", "SUCH", "TABLE"), "public.users/1-0", "public.users/1-0")
    assert isinstance(copy, Confidential)
    return copy


def test_no_key_is_in_any_log_error_report_or_plan(
    s3_world: World, client: Any, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """At the most talkative level of every logger, through a load, a COPY that Snowflake refuses, and a plan."""
    keys = settings_of(s3_world).keys
    assert keys is not None
    hidden = (keys.access.reveal(), keys.secret.reveal())
    for name in ("snowflake.connector", "snowflake.connector.cursor", "snowflake.connector.connection"):
        caplog.set_level(logging.DEBUG, logger=name)
    caplog.set_level(logging.DEBUG)
    [planned] = preview(s3_world.config, s3_world.settings)
    assert any("AWS_SECRET_KEY='***'" in statement for statement in planned.tick)
    assert tick(s3_world).ok

    def lose_the_bucket(event: Any) -> None:
        if event.phase == "put":
            for key in objects(client, s3_world):
                client.delete_object(Bucket=settings_of(s3_world).bucket, Key=key)
            client.delete_bucket(Bucket=settings_of(s3_world).bucket)

    s3_world.sql("update users set name = 'x', updated_at = now() where id < 10")
    failed = tick(s3_world, observer=lose_the_bucket)
    assert not failed.ok
    with (
        pytest.raises(TargetQueryFailed) as refused,
        connect(s3_world.settings.snowflake, query_tag="test") as session,
    ):
        session.execute(_copy_of(s3_world))
    shown = [
        caplog.text,
        repr(planned),
        repr(failed),
        str(failed.error),
        repr(refused.value),
        *capsys.readouterr(),
    ]
    shown += [
        repr(s3_world.sql("select * from sync_logs")),
        repr(s3_world.sql("select * from sync_watermarks")),
    ]
    shown.append("\n".join(s3_world.emulator.statements()))
    for text in shown:
        assert not any(key in text for key in hidden)


def test_large_files_go_up_in_pieces_and_arrive_whole(
    bucket: Bucket, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket_module, "PIECE_BYTES", 5 << 20)
    large, small = tmp_path / "large", tmp_path / "small"
    large.write_bytes(bytes(range(256)) * (11 << 12))
    small.write_bytes(b"small")
    bucket.upload({"up/large": large, "up/small": small})
    for file in (large, small):
        got = client.get_object(Bucket=bucket.name, Key=f"up/{file.name}")
        assert got["Body"].read() == file.read_bytes()
    assert client.head_object(Bucket=bucket.name, Key="up/large")["ETag"].strip('"').endswith("-3")


def test_clearing_takes_unfinished_uploads_and_no_neighbour(bucket: Bucket, client: Any) -> None:
    """Batch 1 and batch 10 of one run begin alike."""
    for key in ("p/1/a", "p/1/b", "p/10/a"):
        bucket.put(key, b"x")
    for key in ("p/1/c", "p/10/c"):
        client.create_multipart_upload(Bucket=bucket.name, Key=key)
    for _ in range(2):
        bucket.clear("p/1/")
        assert list(bucket.keys("p/")) == ["p/10/a"]
        begun = client.list_multipart_uploads(Bucket=bucket.name, Prefix="p/")["Uploads"]
        assert [upload["Key"] for upload in begun] == ["p/10/c"]


def test_failures_of_the_store_are_told_apart(
    bucket: Bucket, s3_world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = tmp_path / "part"
    part.write_bytes(b"x")
    monkeypatch.setattr(bucket_module, "TRIES", 1)
    settings = settings_of(s3_world)
    nowhere = Bucket(replace(settings, bucket="no-such-bucket"))
    silent = Bucket(replace(settings, endpoint_url="http://127.0.0.1:1"))
    cases: tuple[tuple[Bucket, Path, type[PgsnowError]], ...] = (
        (nowhere, part, StagingRefused),
        (silent, part, StagingUnavailable),
        (bucket, tmp_path / "gone", LoadMismatch),
    )
    for there, file, expected in cases:
        with pytest.raises(expected) as caught:
            there.upload({"k": file})
        assert caught.value.advice


def found_of(world: World) -> list[CheckResult]:
    return [finding for finding in run_checks(world.config, world.settings) if finding.name == "s3 bucket"]


def test_check_writes_lists_and_deletes_and_looks_through_the_stage(s3_world: World, client: Any) -> None:
    s3_world.env["S3_STAGE"] = "LAKE"
    s3_world.through({})
    url = settings_of(s3_world).url
    s3_world.snowflake(f"CREATE STAGE LAKE URL='{url}'")
    [found] = found_of(s3_world)
    assert (found.level, objects(client, s3_world)) == (Level.OK, []), found
    before = s3_world.emulator.noted()
    report = tick(s3_world)
    assert report.ok
    sent = s3_world.emulator.statements_since(before)
    s3_world.assert_equal()
    assert not any("merged" in event for event in report.events), "a stage can be selected from"
    straight = [s for s in sent if s.startswith("COPY INTO") and "FROM (SELECT" in s and "LAKE" in s]
    assert len(straight) == 1
    waiting = objects(client, s3_world)  # to be removed with others: those of the batch that is loaded
    s3_world.snowflake(f"CREATE OR REPLACE STAGE LAKE URL='{url}elsewhere/'")
    [found] = found_of(s3_world)
    assert (found.level, objects(client, s3_world)) == (Level.FAILED, waiting)
    assert url in found.fix
    s3_world.through({"S3_BUCKET": "no-such-bucket"})
    [found] = found_of(s3_world)
    assert "there is no bucket no-such-bucket" in found.detail
