"""Bad inputs with the message that each one gets, as data in `bad_inputs.yaml`.

Cases of a group say what is put into a right entry, file or environment (`put`), what is run (`args`), or what the file
is (`text`); and `says`, the messages. `python -m tests.acceptance.bad_inputs` writes the messages of today into the
file: read the difference before you commit it. A new entry has no messages yet.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import yaml

from pgsnow.cli.entry import run
from pgsnow.config.load import load_config
from pgsnow.model.errors import ConfigError
from pgsnow.model.settings.settings import Settings

FILE = Path(__file__).with_name("bad_inputs.yaml")
ENVIRONMENT = {
    "POSTGRES_DSN": "postgresql://reader@127.0.0.1:1/app",
    "SNOWFLAKE_ACCOUNT": "myorg-account1",
    "SNOWFLAKE_USER": "PGSNOW",
    "SNOWFLAKE_PAT": "token",
    "SNOWFLAKE_WAREHOUSE": "WH",
    "SNOWFLAKE_DATABASE": "DB",
}
TABLE = {"source": "public.users", "target": "analytics.users", "pk": "id", "watermark_column": "updated_at"}
HERE = "sync_config.yaml"


def corpus() -> dict[str, list[dict[str, Any]]]:
    """Groups `table`, `file`, `text`, `environment` and `command`, each with its cases."""
    found: dict[str, list[dict[str, Any]]] = yaml.safe_load(FILE.read_text())
    return found


def problems(group: str, case: Mapping[str, Any], folder: Path) -> list[str]:
    """The messages of this case; none if it is accepted. Everything but a ConfigError is raised."""
    if group == "environment":
        return _refused(lambda: _settings({**ENVIRONMENT, **case["put"]}))
    if group == "command":
        return _said(case, folder)
    if group == "text":
        text = case["text"].encode("utf-8", "surrogateescape")
    else:
        entry = {**TABLE, **case["put"]} if group == "table" else TABLE
        text = yaml.safe_dump({"tables": [entry], **(case["put"] if group == "file" else {})}).encode()
    (folder / HERE).write_bytes(text)
    return [one.replace(f"{folder}/", "") for one in _refused(lambda: load_config(folder / HERE, env={}))]


def _settings(env: Mapping[str, str]) -> None:
    """Everything that a command derives from the settings before it connects."""
    settings = Settings.from_env(env)
    settings.snowflake.connect_kwargs()
    settings.source.conninfo()
    settings.ledger.conninfo()


def _refused(act: Any) -> list[str]:
    try:
        act()
    except ConfigError as error:
        return list(error.problems)
    return []


def _said(case: Mapping[str, Any], folder: Path) -> list[str]:
    """The exit code and the first line that a command writes to stderr. Nothing is written to stdout."""
    (folder / HERE).write_text(yaml.safe_dump({"tables": [TABLE]}))
    out, err = io.StringIO(), io.StringIO()
    env = {**ENVIRONMENT, "COLUMNS": "400", "PATH": os.environ.get("PATH", ""), "HOME": str(folder)}
    with (
        mock.patch.dict(os.environ, env, clear=True),
        mock.patch.object(sys, "stdin", io.StringIO()),
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        code = run(case["args"])
    if code == 0:
        return []
    lines = [line.strip(" │") for line in err.getvalue().splitlines() if line.strip(" ╭╮╰╯─│")]
    lines = [line for line in lines if not line.startswith(("Usage:", "Try ", "╭"))]
    assert out.getvalue() == "", case
    return [f"{code}: {' '.join(lines).replace(f'{folder}/', '')}"]


def cases() -> Iterator[tuple[str, dict[str, Any]]]:
    for group, entries in corpus().items():
        for case in entries:
            yield group, case


def main() -> None:
    """Write the messages of today."""
    written = corpus()
    with tempfile.TemporaryDirectory() as folder:
        for group, case in ((group, case) for group, entries in written.items() for case in entries):
            case["says"] = problems(group, case, Path(folder))
    FILE.write_text(yaml.safe_dump(written, sort_keys=False, allow_unicode=True, width=110))


if __name__ == "__main__":
    main()
