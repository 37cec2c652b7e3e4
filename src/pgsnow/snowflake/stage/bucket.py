"""A bucket for part files, through boto3, whose errors are translated. boto3 is imported at the first request, never
before a fork.

Errors are recognised by code and HTTP status, never by text. Codes: Amazon S3 API Reference, "Error responses". The
store's own messages are not shown, because some contain the key of the request.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pgsnow.model import errors
from pgsnow.model.errors import LoadMismatch, MissingExtra
from pgsnow.model.settings.s3 import S3Settings

CONNECT_SECONDS = 5
ANSWER_SECONDS = 60
TRIES = 4
"""Attempts at each request, with growing pauses (botocore's "standard" retries)."""
PIECE_BYTES = 16 << 20
"""Larger files are uploaded in parts of this size, several in parallel; only a failed part is repeated."""
UPLOAD_THREADS = 8
QUIET = ("boto3", "botocore", "s3transfer")
"""Their debug logs show signed requests."""
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


class Bucket:
    """Thread-safe, but must not be used across a fork. Every method raises StagingUnavailable, StagingAccessDenied
    or StagingRefused; MissingExtra without boto3."""

    def __init__(self, settings: S3Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._client: Any = None

    @property
    def name(self) -> str:
        return self._settings.bucket

    def upload(self, files: Mapping[str, Path]) -> None:
        """Upload each file under its key, several at once, large ones in parts. Raises LoadMismatch for a missing
        file."""
        client = self._connected()
        from boto3.s3.transfer import TransferConfig, create_transfer_manager

        config = TransferConfig(
            multipart_threshold=PIECE_BYTES,
            multipart_chunksize=PIECE_BYTES,
            max_concurrency=UPLOAD_THREADS,
            preferred_transfer_client="classic",
        )
        try:
            with translating_s3(self.name, "writing to"), create_transfer_manager(client, config) as manager:
                sent = [manager.upload(str(path), self.name, key) for key, path in files.items()]
                for each in sent:
                    each.result()
        except FileNotFoundError as error:
            raise LoadMismatch(f"{error.filename} is gone before it was uploaded") from None

    def put(self, key: str, body: bytes) -> None:
        """Upload a small object."""
        client = self._connected()
        with translating_s3(self.name, "writing to"):
            client.put_object(Bucket=self.name, Key=key, Body=body)

    def keys(self, prefix: str) -> Iterator[str]:
        """Keys of all objects under this prefix, in order."""
        client = self._connected()
        with translating_s3(self.name, "listing"):
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
            for page in pages:
                yield from (found["Key"] for found in page.get("Contents", ()))

    def clear(self, prefix: str) -> None:
        """Delete all objects under this prefix, and abort unfinished uploads. Idempotent."""
        client = self._connected()
        for key in list(self.keys(prefix)):
            with translating_s3(self.name, "deleting from"):
                client.delete_object(Bucket=self.name, Key=key)
        with translating_s3(self.name, "listing unfinished uploads of"):
            begun = client.list_multipart_uploads(Bucket=self.name, Prefix=prefix).get("Uploads", ())
        for upload in begun:
            with translating_s3(self.name, "ending unfinished uploads of"):
                self._abort(upload)

    def _abort(self, upload: Mapping[str, Any]) -> None:
        """Abort an upload; one that has ended in the meantime is ignored."""
        client = self._connected()
        try:
            client.abort_multipart_upload(Bucket=self.name, Key=upload["Key"], UploadId=upload["UploadId"])
        except client.exceptions.NoSuchUpload:
            return

    def _connected(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = _client(self._settings)
            return self._client


def _client(settings: S3Settings) -> Any:
    try:
        import boto3
        from botocore.config import Config
    except ImportError:
        raise MissingExtra("boto3", "s3") from None
    _quieten()
    compatible = bool(settings.endpoint_url)
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=ANSWER_SECONDS,
        retries={"mode": "standard", "total_max_attempts": TRIES},
        max_pool_connections=2 * UPLOAD_THREADS,
        s3={"addressing_style": "path" if compatible else "auto"},
        # Not all S3-compatible stores support its newer checksums.
        request_checksum_calculation="when_required" if compatible else "when_supported",
        response_checksum_validation="when_required" if compatible else "when_supported",
    )
    with translating_s3(settings.bucket, "reaching"):
        session = boto3.session.Session(**_credentials(settings), region_name=settings.region or None)
        return session.client("s3", endpoint_url=settings.endpoint_url or None, config=config)


def _credentials(settings: S3Settings) -> dict[str, str]:
    """Arguments with the configured keys; without keys, AWS's own credential chain is used."""
    keys = settings.keys
    if keys is None:
        return {}
    given = {"aws_access_key_id": keys.access.reveal(), "aws_secret_access_key": keys.secret.reveal()}
    return given | ({"aws_session_token": keys.token.reveal()} if keys.token else {})


def _quieten() -> None:
    """Sets a level for loggers for which the host has set none."""
    for name in QUIET:
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.WARNING)


@contextmanager
def translating_s3(bucket: str, doing: str) -> Iterator[None]:
    """Raises boto3's errors as PgsnowErrors that name the bucket and the operation.

    The cause is left out: a store's response may contain the key.
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
        found = errors.StagingRefused(f"S3: {doing} {bucket}: not a valid bucket name")
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


_NO_BUCKET_ADVICE = "Correct S3_BUCKET, or create the bucket; pgsnow does not create it."
