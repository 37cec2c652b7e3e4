"""Every kind of failure of a store ends in the leaf that says what happens next, and names no key."""

from __future__ import annotations

import pytest
from botocore import exceptions as driver

from pgsnow.model import errors
from pgsnow.snowflake.stage.bucket import translating_s3

KEY = "AKIAIOSFODNN7EXAMPLE"


def answered(code: str, status: int) -> driver.ClientError:
    told = {"Code": code, "Message": f"The key {KEY} is bad", "AWSAccessKeyId": KEY}
    return driver.ClientError({"Error": told, "ResponseMetadata": {"HTTPStatusCode": status}}, "PutObject")


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (answered("NoSuchBucket", 404), errors.StagingRefused),
        (answered("AccessDenied", 403), errors.StagingAccessDenied),
        (answered("InvalidAccessKeyId", 403), errors.StagingAccessDenied),
        (answered("ExpiredToken", 400), errors.StagingAccessDenied),
        (answered("SlowDown", 503), errors.StagingUnavailable),
        (answered("", 502), errors.StagingUnavailable),
        (answered("RequestTimeout", 400), errors.StagingUnavailable),
        (answered("EntityTooLarge", 400), errors.StagingRefused),
        (driver.NoCredentialsError(), errors.StagingAccessDenied),
        (driver.EndpointConnectionError(endpoint_url="http://h"), errors.StagingUnavailable),
        (driver.ReadTimeoutError(endpoint_url="http://h"), errors.StagingUnavailable),
        (ConnectionResetError(), errors.StagingUnavailable),
    ],
)
def test_a_failure_says_what_happens_next(raised: Exception, expected: type[errors.PgsnowError]) -> None:
    with pytest.raises(errors.PgsnowError) as caught, translating_s3("lake", "writing to"):
        raise raised
    assert type(caught.value) is expected
    assert "lake" in str(caught.value)
    assert caught.value.advice
    assert KEY not in f"{caught.value}{caught.value.advice}{caught.value!r}"
    assert caught.value.__suppress_context__


def test_other_errors_pass() -> None:
    with pytest.raises(ZeroDivisionError), translating_s3("lake", "writing to"):
        _ = 1 / 0
