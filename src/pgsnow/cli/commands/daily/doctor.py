"""`pgsnow doctor`: a file for a bug report."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pgsnow.cli.invocation import Invocation
from pgsnow.cli.options import ConfigFile, Debug, EnvFile
from pgsnow.cli.output.layout import Role
from pgsnow.cli.output.log import quiet_log
from pgsnow.cli.output.screen import Shown, say, show_table, show_text, table_of
from pgsnow.cli.output.sizes import bytes_text
from pgsnow.model.errors import ConfigError, PgsnowError
from pgsnow.model.sentences import counted

if TYPE_CHECKING:
    from pgsnow.operations.doctor.bundle import Part

COLUMNS = (Shown("file", role=Role.NAME), Shown("size", right=True), Shown("content", role=Role.TEXT))
CONTENT = {
    "about.json": "versions of pgsnow, Python, the system and the packages",
    "sync_config.yaml": "the table list, with addresses and credentials masked",
    "variables.json": "names of the settings' variables, without their values",
    "check.json": "the results of pgsnow check",
    "status.json": "the state of each table in the ledger",
    "runs.json": "the newest runs and the newest failed runs",
    "rejected.json": "numbers of rejected rows, without keys and payloads",
    "workers.json": "ticks of the workers, and requests to them",
}
README = """Report for a bug in pgsnow, made by `pgsnow doctor`.

It has no passwords, keys, tokens or addresses of web services, and no rows: quoted constants, keys of rows, watermarks
and long numbers in texts are replaced by …. Names of tables, columns, roles, hosts and warehouses are in it, because a
bug cannot be understood without them. Read it before you send it.
"""


def doctor(
    write: Annotated[
        Path | None,
        typer.Option(
            "--write", metavar="FILE", help="The file. Default: pgsnow-doctor-DATE.zip in this folder."
        ),
    ] = None,
    no_check: Annotated[
        bool,
        typer.Option("--no-check", help="Connect only to the ledger; the last saved check is in the file."),
    ] = False,
    runs: Annotated[
        int, typer.Option("--runs", min=1, metavar="N", help="Newest runs, and failed runs.")
    ] = 100,
    config: ConfigFile = None,
    env_file: EnvFile = None,
    debug: Debug = False,
) -> None:
    """Write a file for a bug report: versions, table list, checks, states, runs. No secrets and no rows."""
    from pgsnow.operations.doctor.bundle import Patient, bundle

    quiet_log(debug=debug)
    invocation = Invocation(config, env_file)
    now = datetime.now(UTC)
    file = write or Path(f"pgsnow-doctor-{now:%Y%m%d-%H%M%S}.zip")
    place = _place(invocation)
    patient = Patient(place, _variables(invocation, place), invocation.load)
    parts = list(bundle(patient, now, checks=not no_check, runs=runs))
    _save(file, parts)
    rows = [(part.name, bytes_text(len(part.text.encode())), _content(part)) for part in parts]
    show_table(table_of(COLUMNS, rows))
    failed = sum(bool(part.error) for part in parts)
    missing = f", {failed} of them with an error in place of the content" if failed else ""
    show_text(f"\n{file}: {counted(len(parts), 'file')}{missing}")
    say(
        "Read it before you send it; it has names of tables, columns and hosts, and neither secrets nor rows."
    )


def _place(invocation: Invocation) -> Path | None:
    try:
        return invocation.path()
    except ConfigError:
        return None


def _variables(invocation: Invocation, place: Path | None) -> dict[str, str]:
    """Every variable that may be a setting; those of the environment alone if .env cannot be read."""
    try:
        return invocation.variables(place or Path("sync_config.yaml"))
    except PgsnowError:
        return dict(os.environ)


def _content(part: Part) -> str:
    return f"could not be made: {part.error}" if part.error else CONTENT[part.name]


def _save(file: Path, parts: Sequence[Part]) -> None:
    """Write a new file that only its owner may read. Raises ConfigError if there is one of this name."""
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise ConfigError(
            f"{file}: {error.strerror}", advice="Name another file with --write FILE."
        ) from None
    with os.fdopen(handle, "wb") as raw, zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("README.txt", README)
        for part in parts:
            archive.writestr(part.name, part.text)
