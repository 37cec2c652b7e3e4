"""Tools that are single programs: sling and ingestr, in the newest releases whose wheels contain the program."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.certificate import ACCOUNT
from benchmarks.peers.contestant import DATABASE, Done, Job, Setup, command, once
from benchmarks.peers.private_hosts import with_private_hosts
from benchmarks.peers.venvs import version_of

QUIET = {
    "SLING_DISABLE_TELEMETRY": "TRUE",
    "INGESTR_DISABLE_TELEMETRY": "true",
    "DISABLE_TELEMETRY": "true",
    "SF_OCSP_FAIL_OPEN": "true",
}


class Sling:
    """Incremental by `updated_at`, merged by `id`, staged as Parquet. Speaks plain HTTP."""

    name = "sling"
    packages: tuple[str, ...] = ("sling==1.4.11", "sling-linux-amd64==1.4.11")
    target = "PUBLIC.USERS_SLING"
    folder = "sling"
    most_rows = 0

    def version(self, venvs: Path) -> str:
        return version_of(venvs / self.folder, "sling")

    def open(self, place: Setup, table: str = "users") -> AbstractContextManager[Job]:
        (program,) = (place.venvs / self.folder).glob(
            "lib/python*/site-packages/sling_linux_amd64/bin/sling-linux-amd64"
        )
        program.chmod(0o755)
        argv = [str(program), "run", "--src-conn", "SOURCE", "--src-stream", f"public.{table}"]
        argv += ["--tgt-conn", "TARGET", "--tgt-object", f"PUBLIC.{table}_sling", "--mode", "incremental"]
        argv += ["--primary-key", "id", "--update-key", "updated_at", "--tgt-options", "{format: parquet}"]
        target = f"snowflake://u:p@localhost:{place.emulator.port}/{DATABASE}"
        env = {
            **QUIET,
            "SLING_HOME_DIR": str(place.folder / "sling"),
            "SOURCE": f"{place.dsn}?sslmode=disable",
            "TARGET": f"{target}?account={ACCOUNT}&protocol=http&warehouse=DEV_WH",
        }
        return command(argv, env, place)


class Ingestr:
    """Merged by `id`. By default every run reads the whole table; with `interval` each run after the first gets the
    start time of the previous run, as a scheduler could pass it."""

    packages: tuple[str, ...] = ("ingestr==1.1.22",)
    folder = "ingestr"
    most_rows = 0

    def __init__(self, *, interval: bool) -> None:
        self._interval = interval
        self.name = "ingestr, told an interval" if interval else "ingestr, its default"
        self.target = "ING.USERS"

    def version(self, venvs: Path) -> str:
        return version_of(venvs / self.folder, "ingestr")

    @contextmanager
    def open(self, place: Setup, table: str = "users") -> Iterator[Job]:
        began: list[str] = []

        def job() -> Done:
            since = began[-1:] if self._interval else []
            began.append(datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
            return once(self._argv(place, table, since), {**QUIET, **trusting(place)}, place)

        yield job

    def _argv(self, place: Setup, table: str, since: list[str]) -> list[str]:
        argv = [str(place.venvs / self.folder / "bin" / "ingestr"), "ingest", "--yes", "--progress", "log"]
        argv += ["--source-uri", f"{place.dsn}?sslmode=disable", "--source-table", f"public.{table}"]
        argv += ["--dest-uri", f"snowflake://u:p@{ACCOUNT}/{DATABASE}?warehouse=DEV_WH"]
        argv += ["--dest-table", f"ING.{table}", "--incremental-strategy", "merge"]
        argv += ["--incremental-key", "updated_at", "--primary-key", "id"]
        return with_private_hosts(
            [*argv, *(x for each in since for x in ("--interval-start", each))], place.folder
        )


def trusting(place: Setup) -> dict[str, str]:
    """The environment in which OpenSSL, Go and requests trust the emulator's certificate."""
    if place.certificate is None:
        raise RuntimeError("the emulator has no certificate")
    bundle = str(place.certificate.bundle)
    return {"SSL_CERT_FILE": bundle, "REQUESTS_CA_BUNDLE": bundle}
