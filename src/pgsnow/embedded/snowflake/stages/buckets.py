"""External locations: COPY and LIST of objects in a bucket."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import fakesnow.copy_into
import fakesnow.cursor
from fakesnow.transforms import stage
from sqlglot import exp

from pgsnow.embedded.snowflake.hooks.cursor import rewrite_text
from pgsnow.embedded.snowflake.hooks.errors import snowflake_error
from pgsnow.embedded.snowflake.stages.stages import LIST, REMOVE, answer_of, matches, url_of

S3 = "s3://"
NO_ACCESS = (91003, "55000")
UNSIGNED = {"aws_access_key_id": "emulator", "aws_secret_access_key": "emulator"}
"""On the real service, integrations and stages hold credentials; here there are none."""


class Buckets:
    """Fetches objects into a folder. `endpoint`: the address of the S3 server; without one nothing is fetched."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.endpoint: str | None = None

    @contextmanager
    def fetched(self, url: str, credentials: dict[str, str]) -> Iterator[Path]:
        """A folder with every object below the URL, named by the last part of its key. A URL has the same folder each
        time."""
        bucket, prefix = _split(url)
        folder = self._folder / bucket / prefix
        folder.mkdir(parents=True, exist_ok=True)
        try:
            client = self._client(credentials)
            for found in self.listed(url, credentials):
                client.download_file(bucket, found["Key"], str(folder / Path(found["Key"]).name))
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def kept(self, url: str, wanted: Callable[[str], bool]) -> Iterator[list[tuple[str, Path]]]:
        """Every wanted object whose URL begins with this one: its key, and a copy that is removed at the end."""
        bucket, _ = _split(url)
        self._folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            client = self._client({})
            keys = [each["Key"] for each in self.listed(url, {}) if wanted(each["Key"])]
            copies = [(key, Path(folder) / f"{number}.parquet") for number, key in enumerate(keys)]
            for key, path in copies:
                client.download_file(bucket, key, str(path))
            yield copies

    def remove(self, url: str, keys: list[str]) -> None:
        """Remove these objects of the URL's bucket."""
        client = self._client({})
        for key in keys:
            client.delete_object(Bucket=_split(url)[0], Key=key)

    def listed(self, url: str, credentials: dict[str, str]) -> list[dict[str, Any]]:
        """The objects below the URL, as S3 lists them."""
        bucket, prefix = _split(url)
        client = self._client(credentials)
        try:
            pages = list(client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix))
        except client.exceptions.ClientError as error:
            code = error.response["Error"]["Code"]
            raise snowflake_error(NO_ACCESS, f"Failure using stage area. Cause: [{code}]") from None
        return [found for page in pages for found in page.get("Contents", ())]

    def _client(self, credentials: dict[str, str]) -> Any:
        if self.endpoint is None:
            raise snowflake_error(
                NO_ACCESS, "Failure using stage area. Cause: [no S3 server is set in the emulator]"
            )
        if sys.modules.get("botocore", Ellipsis) is None:  # left out for a quick start
            del sys.modules["botocore"]
        import boto3

        return boto3.client(
            "s3", endpoint_url=self.endpoint, region_name="us-east-1", **(credentials or UNSIGNED)
        )


def copy_from_buckets(buckets: Buckets) -> None:
    """Stock: reads s3:// with an extension that DuckDB downloads, and from AWS only."""
    stock: Callable[..., str] = fakesnow.cursor.copy_into

    def copy_into(
        connection: Any, database: str | None, schema: str | None, expr: exp.Copy, tables: Any, *rest: Any
    ) -> str:
        url = _source_url(connection, database, schema, expr, tables)
        if not url.startswith(S3):
            return stock(connection, database, schema, expr, tables, *rest)
        with buckets.fetched(url, _credentials(expr)) as folder:
            local = expr.copy()
            _read_from(local.args["files"][0], f"file://{folder}")
            return stock(connection, database, schema, local, tables, *rest)

    fakesnow.cursor.copy_into = copy_into


def _read_from(origin: exp.Expression, url: str) -> None:
    """origin: of a COPY, with a SELECT or without."""
    if isinstance(origin, exp.Subquery):
        origin.this.args["from_"].this.set("this", exp.Var(this=url))
    else:
        origin.set("this", exp.Literal.string(url))


def list_buckets(buckets: Buckets) -> None:
    """Stock: LIST and REMOVE of an external stage are not supported."""

    def listing(cursor: Any, command: str) -> str | None:
        match = LIST.match(command)
        url = match and _stage_url(cursor, match["stage"])
        if match is None or not url:
            return None
        rows = [
            (_shown(url, each["Key"]), each["Size"], each["ETag"].strip('"'), str(each["LastModified"]))
            for each in _found(buckets, url, match)
        ]
        return answer_of(("name", "size", "md5", "last_modified"), rows)

    def removing(cursor: Any, command: str) -> str | None:
        match = REMOVE.match(command)
        url = match and _stage_url(cursor, match["stage"])
        if match is None or not url:
            return None
        keys = [each["Key"] for each in _found(buckets, url, match)]
        buckets.remove(url, keys)
        return answer_of(("name", "result"), [(_shown(url, key), "removed") for key in keys])

    rewrite_text(listing)
    rewrite_text(removing)


def _found(buckets: Buckets, url: str, match: re.Match[str]) -> list[dict[str, Any]]:
    """The objects of a stage with this URL that a LIST or REMOVE is about."""
    found = buckets.listed(url.rstrip("/") + (match["path"] or "/"), {})
    return [each for each in found if is_wanted(url, match["pattern"], each["Key"])]


def is_wanted(url: str, pattern: str | None, key: str) -> bool:
    """True if an object of a stage with this URL matches a PATTERN, or there is none."""
    prefix = _split(url)[1].rstrip("/")
    return matches(pattern, key.removeprefix(prefix).lstrip("/"), _shown(url, key))


def _shown(url: str, key: str) -> str:
    return f"{S3}{_split(url)[0]}/{key}"


def _source_url(
    connection: Any, database: str | None, schema: str | None, expr: exp.Copy, tables: Any
) -> str:
    source: str = fakesnow.copy_into._from_source(expr)
    if not source.startswith("@"):
        return source
    table = fakesnow.copy_into._extract_table(expr.this)
    url: str = fakesnow.copy_into.stage_url_from_var(source[1:], connection, database, schema, tables, table)
    return url


def _stage_url(cursor: Any, name: str) -> str | None:
    url = url_of(cursor, stage.parts_from_var(name, cursor._conn.database, cursor._conn.schema))
    return url if url.startswith(S3) else None


def _credentials(expr: exp.Copy) -> dict[str, str]:
    """The keys of CREDENTIALS=(AWS_KEY_ID='…' AWS_SECRET_KEY='…')."""
    given = expr.args.get("credentials")
    named = {
        each.this.name.upper(): each.args["value"].name
        for each in (given and given.args.get("credentials")) or ()
    }
    if not named:
        return {}
    return {"aws_access_key_id": named["AWS_KEY_ID"], "aws_secret_access_key": named["AWS_SECRET_KEY"]}


def _split(url: str) -> tuple[str, str]:
    """`s3://bucket/a/b/` → bucket, `a/b/`."""
    parts = urlsplit(url)
    return parts.netloc, parts.path.lstrip("/")
