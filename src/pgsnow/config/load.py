"""Loading of sync_config.yaml and .env. Its imports are light enough for Celery's parent process, before the fork."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from dotenv.parser import parse_stream
from dotenv.variables import parse_variables

from pgsnow.config.yaml_lines import YamlProblem, YamlText, read_yaml
from pgsnow.model.config.sync_config import SyncConfig, parse_config
from pgsnow.model.errors import ConfigError
from pgsnow.model.settings.environment import Environment
from pgsnow.model.settings.postgres import PostgresSettings, ledger_from, source_from
from pgsnow.model.settings.settings import Settings

_SINGLE_QUOTED = re.compile(r"[^=]*=[^\S\r\n]*'")
"""A line of `.env` whose value stands between single quotes."""
_FILES = ("SNOWFLAKE_PRIVATE_KEY_FILE", "SNOWFLAKE_TOKEN_FILE_PATH")


def load_config(path: str | os.PathLike[str], env: Mapping[str, str] | None = None) -> SyncConfig:
    """The configuration in the file at `path`.

    `${VAR}` is taken from `env`; by default from the process's environment, then from `.env` next to the file or in the
    working directory. Raises ConfigError with every problem, each with file, line and key.
    """
    file = Path(path)
    text = _read(file, "write one, or name another with --config")
    values = {**_dotenv_beside(file), **os.environ} if env is None else env
    try:
        read = read_yaml(text)
    except YamlProblem as problem:
        place = f"{file}:{problem.line}" if problem.line else str(file)
        raise ConfigError(f"{place}: is not valid YAML: {problem} — correct its syntax") from None
    found = [(path, _duplicate(lines)) for path, lines in read.duplicates.items()]
    return parse_config(_data(read), file=str(file), env=values, lines=read.lines, found=found)


def top_level(path: Path | None) -> SyncConfig:
    """The options of the top level of the file at `path`, without tables and with defaults for options that are wrong:
    for a file that load_config refuses."""
    try:
        data = read_yaml(_read(path, "")).data if path is not None else {}
    except (ConfigError, YamlProblem):
        data = {}
    given = (
        {name: value for name, value in data.items() if name != "tables"} if isinstance(data, dict) else {}
    )
    found = SyncConfig(tables=())
    for name in given.keys() & SyncConfig.model_fields.keys():
        try:
            found = SyncConfig(**{**found.model_dump(), name: given[name]})
        except ValueError:
            continue
    return found


def env_beside(config_file: Path | None) -> Path | None:
    """`.env` in the folder of this file; None if there is none, and `.env` of the working directory is read."""
    beside = config_file.parent / ".env" if config_file is not None else None
    return beside if beside is not None and beside.is_file() else None


def load_settings(env: Mapping[str, str] | None = None, env_file: Path | None = None) -> Settings:
    """Connection settings from `env`; by default from the process's environment.

    Variables that it does not set are taken from `env_file`; if neither is given, from `.env` in the working
    directory if it exists. Raises ConfigError with everything that is missing or wrong, a missing `env_file` or key
    file included.
    """
    values = variables(env, env_file)
    missing = [_missing_file(name, values[name]) for name in _FILES if _is_missing(values.get(name))]
    try:
        settings = Settings.from_env(values)
    except ConfigError as error:
        raise ConfigError([*error.problems, *missing], advice=error.advice) from None
    if missing:
        raise ConfigError(missing)
    return settings


def load_source(env: Mapping[str, str] | None = None, env_file: Path | None = None) -> PostgresSettings:
    """The source's settings only, for commands that do not use Snowflake; read like load_settings. Raises
    ConfigError."""
    read = Environment(variables(env, env_file))
    source = source_from(read)
    read.finish()
    return source


def load_ledger(env: Mapping[str, str] | None = None, env_file: Path | None = None) -> PostgresSettings:
    """The ledger's settings only, for processes that use neither the source nor Snowflake; read like load_settings.
    Raises ConfigError."""
    read = Environment(variables(env, env_file))
    ledger = ledger_from(read) or source_from(read)
    read.finish()
    return ledger


def variables(env: Mapping[str, str] | None = None, env_file: Path | None = None) -> dict[str, str]:
    """All variables that load_settings reads. Raises ConfigError if `env_file` does not exist."""
    if env_file is not None:
        below = _dotenv(env_file)
    else:
        below = _dotenv_beside(None) if env is None else {}
    return _with_home({**below, **(os.environ if env is None else env)})


def _data(read: YamlText) -> object:
    return {} if read.data is None else read.data


def _duplicate(lines: list[int]) -> str:
    return f"is a duplicate key (lines {', '.join(map(str, lines))}) — keep one"


def _read(file: Path, fix: str) -> str:
    try:
        return file.read_text("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{file}: the file does not exist — {fix}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{file}: is not UTF-8 text — save it as UTF-8") from None
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror} — {fix}") from None


def _dotenv_beside(config: Path | None) -> dict[str, str]:
    """The variables in `.env` next to the configuration, else in the working directory; empty if there is none."""
    places = [Path.cwd()] if config is None else [config.parent, Path.cwd()]
    file = next((place / ".env" for place in places if (place / ".env").is_file()), None)
    return _dotenv(file) if file else {}


def read_dotenv(file: Path) -> dict[str, str]:
    """The variables in the file. `${NAME}` stands for an earlier one or for one of the environment; between single
    quotes it stands for itself, as in a shell."""
    found: dict[str, str] = {}
    with file.open(encoding="utf-8-sig") as stream:
        for binding in parse_stream(stream):
            if binding.key is None or binding.value is None:
                continue
            known = {**os.environ, **found}
            is_literal = _SINGLE_QUOTED.match(binding.original.string) is not None
            atoms = () if is_literal else parse_variables(binding.value)
            found[binding.key] = binding.value if is_literal else "".join(a.resolve(known) for a in atoms)
    return found


def _dotenv(file: Path) -> dict[str, str]:
    _read(file, "create it, or name another")
    return read_dotenv(file)


def _with_home(values: Mapping[str, str]) -> dict[str, str]:
    """The values with `~` expanded in paths."""
    return {name: os.path.expanduser(v) if name in _FILES else v for name, v in values.items()}  # noqa: PTH111


def _is_missing(path: str | None) -> bool:
    return bool(path and path.strip()) and not os.access(str(path).strip(), os.R_OK)


def _missing_file(name: str, path: str) -> str:
    return f"environment: {name}: {path} cannot be read — correct the path or its permissions"
