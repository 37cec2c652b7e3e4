"""Settings of the user's own bucket for part files, and of how Snowflake reads it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from pgsnow.model.settings.environment import Environment
from pgsnow.model.settings.secret import Secret
from pgsnow.model.table import TargetName

PREFIX = "pgsnow"
GOOGLE = "storage.googleapis.com"
"""Google's endpoint for the S3 API. Snowflake calls it `gcs://` and reads it only through a storage integration
(Snowflake docs, "CREATE STAGE", externalStageParams; Google Cloud docs, "XML API", "Interoperability")."""
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]\Z")
_PREFIX = re.compile(r"[A-Za-z0-9_.=-]+(/[A-Za-z0-9_.=-]+)*\Z")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*\Z")


@dataclass(frozen=True, slots=True)
class S3Keys:
    """An access key. token: only for temporary keys."""

    access: Secret
    secret: Secret
    token: Secret | None = None


@dataclass(frozen=True, slots=True)
class S3Settings:
    """prefix has no slashes at its ends; region, endpoint_url, stage and integration are '' if not given.

    keys: they sign requests; without them AWS's default credential chain does. Snowflake reads through `stage`, else
    through `integration`, else with `keys`; at least one of them is set.
    """

    bucket: str
    prefix: str
    region: str = ""
    endpoint_url: str = ""
    stage: str = ""
    integration: str = ""
    keys: S3Keys | None = field(default=None, repr=False)
    warnings: tuple[str, ...] = ()
    """Settings that work but should be changed, one sentence each."""

    @property
    def url(self) -> str:
        """The location in Snowflake's form: `s3://bucket/prefix/` or `gcs://bucket/prefix/`."""
        return f"{'gcs' if _is_google(self.endpoint_url) else 's3'}://{self.bucket}/{self.prefix}/"

    @property
    def display(self) -> str:
        """`s3://bucket/prefix/, read by integration PGSNOW_S3`, for messages."""
        where = self.url + (f" at {self.endpoint_url}" if self.endpoint_url else "")
        if self.stage:
            return f"{where}, read through stage {self.stage}"
        return f"{where}, read by {f'integration {self.integration}' if self.integration else 'its keys'}"


def s3_from(env: Environment) -> S3Settings | None:
    """The bucket, from S3_*; None without S3_BUCKET. Unusable if problems were added."""
    bucket = env.get("S3_BUCKET")
    if bucket is None:
        return None
    if not _BUCKET.match(bucket):
        env.add_problem(
            "S3_BUCKET", f"{bucket!r} is not a bucket's name", "write the name alone, without s3://"
        )
    settings = S3Settings(
        bucket=bucket,
        prefix=_prefix(env),
        region=env.get("S3_REGION") or "",
        endpoint_url=_endpoint(env),
        stage=_stage(env),
        integration=_integration(env),
        keys=_keys(env),
        warnings=tuple(_warnings(env)),
    )
    if _is_google(settings.endpoint_url) and not (settings.stage or settings.integration):
        env.add_problem(
            "S3_STORAGE_INTEGRATION",
            "is not set, and Snowflake can only read gcs:// through an integration",
            "name a storage integration with STORAGE_PROVIDER = 'GCS', or an external stage that has one in S3_STAGE",
        )
    elif not (settings.stage or settings.integration or settings.keys):
        env.add_problem(
            "S3_STORAGE_INTEGRATION",
            "is not set, and Snowflake has no other way to read the bucket",
            "name a storage integration, or an external stage in S3_STAGE, or set S3_ACCESS_KEY and S3_SECRET",
        )
    return settings


def _is_google(endpoint: str) -> bool:
    return urlsplit(endpoint).hostname == GOOGLE


def _prefix(env: Environment) -> str:
    prefix = (env.get("S3_PREFIX") or PREFIX).strip("/")
    if not _PREFIX.match(prefix) or {".", ".."} & set(prefix.split("/")):
        env.add_problem(
            "S3_PREFIX",
            f"{prefix!r} cannot be used",
            "write folders of letters, digits and . _ = - such as a/b",
        )
    return prefix


def _endpoint(env: Environment) -> str:
    """The problem does not quote a wrong value, which may contain a password."""
    endpoint = env.get("S3_ENDPOINT_URL")
    if endpoint is None:
        return ""
    if not _is_address(endpoint):
        env.add_problem("S3_ENDPOINT_URL", "is not an address", "write https://host or https://host:port")
        return ""
    return endpoint.rstrip("/")


def _is_address(endpoint: str) -> bool:
    """http or https, a host, perhaps a port, and nothing else."""
    try:
        parts = urlsplit(endpoint)
        port = parts.port
    except ValueError:  # brackets that do not match, or a port that is none
        return False
    rest = parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc
    return parts.scheme in ("http", "https") and bool(parts.hostname) and port != 0 and not rest


def _stage(env: Environment) -> str:
    name = env.get("S3_STAGE") or ""
    try:
        if name:
            TargetName.parse(name)
    except ValueError:
        env.add_problem("S3_STAGE", f"{name!r} is not a name", "write database.schema.stage, without @")
    return name


def _integration(env: Environment) -> str:
    name = env.get("S3_STORAGE_INTEGRATION") or ""
    if name and not _IDENTIFIER.match(name):
        env.add_problem(
            "S3_STORAGE_INTEGRATION", f"{name!r} is not a name", "write it as in CREATE STORAGE INTEGRATION"
        )
    return name


def _keys(env: Environment) -> S3Keys | None:
    access, secret, token = (env.get(name) for name in ("S3_ACCESS_KEY", "S3_SECRET", "S3_SESSION_TOKEN"))
    if access is None and secret is None:
        return None
    both = "set both, or neither to use AWS's default credentials (a role, a profile)"
    if access is None or secret is None:
        env.add_problem("S3_SECRET" if secret is None else "S3_ACCESS_KEY", "is not set", both)
        return None
    return S3Keys(Secret(access.strip()), Secret(secret.strip()), Secret(token.strip()) if token else None)


def _warnings(env: Environment) -> list[str]:
    found = []
    by_name = env.get("S3_STAGE") or env.get("S3_STORAGE_INTEGRATION")
    if env.get("S3_ACCESS_KEY") and not by_name:
        found.append(
            "S3_ACCESS_KEY: the keys are sent to Snowflake in the text of each COPY; name a storage integration in"
            " S3_STORAGE_INTEGRATION instead."
        )
    endpoint = env.get("S3_ENDPOINT_URL") or ""
    host = (urlsplit(endpoint).hostname or "") if _is_address(endpoint) else ""
    if host and host != GOOGLE and not env.get("S3_STAGE") and ".amazonaws.com" not in f"{host}.":
        found.append(
            "S3_ENDPOINT_URL: Snowflake looks for s3:// at AWS only; create an external stage for this store,"
            " and name it in S3_STAGE."
        )
    return found
