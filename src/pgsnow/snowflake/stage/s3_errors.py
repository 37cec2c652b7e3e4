"""What boto3 raises becomes the errors of model/errors.py here, once, by code and HTTP status and never by text.

Codes: Amazon S3 API Reference, "Error responses". Messages are kept out where they are the store's: some name the
key of the request.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pgsnow.model import errors

DENIED = frozenset(
    {
        "AccessDenied",
        "AllAccessDisabled",
        "AccountProblem",
        "ExpiredToken",
        "InvalidAccessKeyId",
        "InvalidToken",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
        "401",
        "403",
    }
)
NOW = frozenset({"RequestTimeout", "RequestTimeTooSkewed", "SlowDown", "InternalError", "ServiceUnavailable"})
NO_BUCKET = frozenset({"NoSuchBucket", "404"})


@contextmanager
def translating_s3(bucket: str, doing: str) -> Iterator[None]:
    """Raises what boto3 raised inside as an error of ours that names the bucket and what was being done.

    The cause is left out: a store's answer may name the key.
    """
    from botocore import exceptions as driver

    found: errors.PgsnowError | None = None
    try:
        yield
    except driver.ClientError as error:
        found = _answered(error, bucket, doing)
    except (driver.NoCredentialsError, driver.PartialCredentialsError, driver.TokenRetrievalError) as error:
        found = errors.StagingAccessDenied(
            f"S3: {doing} {bucket}: no credentials to sign with ({type(error).__name__})",
            advice="Set S3_ACCESS_KEY and S3_SECRET, or give this machine a role or a profile of AWS.",
        )
    except driver.ParamValidationError:
        found = errors.StagingRefused(f"S3: {doing} {bucket}: that cannot be a bucket's name")
    except (driver.BotoCoreError, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        found = errors.StagingUnavailable(f"S3: {doing} {bucket}: {type(error).__name__}")
    if found is not None:
        raise found from None


def _answered(error: Any, bucket: str, doing: str) -> errors.PgsnowError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    what = f"S3: {doing} {bucket}: {code or status}"
    if code in NO_BUCKET:
        return errors.StagingRefused(f"S3: there is no bucket {bucket}", advice=_NO_BUCKET_ADVICE, code=code)
    if code in NOW or status >= 500 or status == 429:
        return errors.StagingUnavailable(what, code=code)
    if code in DENIED or status in (401, 403):
        return errors.StagingAccessDenied(what, code=code)
    return errors.StagingRefused(what, code=code)


_NO_BUCKET_ADVICE = "Correct S3_BUCKET, or make the bucket; pgsnow makes none."
