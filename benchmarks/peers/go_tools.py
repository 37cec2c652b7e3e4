"""Tools that are one program: sling and ingestr, the newest releases whose wheels carry it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from benchmarks.certificate import ACCOUNT
from benchmarks.peers.contestant import DATABASE, Job, Place, command
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

    def version(self, venvs: Path) -> str:
        return version_of(venvs / self.name, "sling")

    def open(self, place: Place, table: str = "users") -> AbstractContextManager[Job]:
        (program,) = (place.venvs / self.name).glob(
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
            "TARGET": f"{target}?account={ACCOUNT}&protocol=http&warehouse=w",
        }
        return command(argv, env, place)


class Ingestr:
    """Merged by `id`. By default every run reads the whole table; `Ingestr(interval=True)` is told, by the command, to
    read what changed since the run before, as a careful scheduler would."""

    name = "ingestr"
    packages: tuple[str, ...] = ("ingestr==1.1.22",)
    target = "ING.USERS"

    def version(self, venvs: Path) -> str:
        return version_of(venvs / self.name, "ingestr")

    def open(self, place: Place, table: str = "users", since: str | None = None) -> AbstractContextManager[Job]:
        argv = [str(place.venvs / self.name / "bin" / "ingestr"), "ingest", "--yes", "--progress", "log"]
        argv += ["--source-uri", f"{place.dsn}?sslmode=disable", "--source-table", f"public.{table}"]
        argv += ["--dest-uri", f"snowflake://u:p@{ACCOUNT}/{DATABASE}?warehouse=w"]
        argv += ["--dest-table", f"ING.{table}", "--incremental-strategy", "merge"]
        argv += ["--incremental-key", "updated_at", "--primary-key", "id"]
        argv += ["--interval-start", since] if since else []
        return command(with_private_hosts(argv, place.folder), {**QUIET, **trusting(place)}, place)


def trusting(place: Place) -> dict[str, str]:
    """The environment in which OpenSSL, Go and requests trust the emulator's certificate."""
    if place.certificate is None:
        raise RuntimeError("the emulator has no certificate")
    bundle = str(place.certificate.bundle)
    return {"SSL_CERT_FILE": bundle, "REQUESTS_CA_BUNDLE": bundle}
