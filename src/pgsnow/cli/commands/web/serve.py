"""`pgsnow serve`: the status page, its API and the metrics, without an application of one's own."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pgsnow.cli.invocation import Invocation
from pgsnow.cli.options import ConfigFile, Debug, EnvFile
from pgsnow.cli.output.log import quiet_log
from pgsnow.cli.output.screen import say
from pgsnow.model.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    from pgsnow.model.settings.secret import Secret

LOOPBACK = ("127.0.0.1", "localhost", "::1")
KEPT = Path(".pgsnow")
"""Directory in which `make demo` and `pgsnow dev` keep their data."""
TABLE_LIST = "sync_config.yaml"


def serve(
    config: ConfigFile = None,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", "-p", min=0, max=65535, help="0: a free one.")] = 8080,
    token_env: Annotated[
        str | None,
        typer.Option(
            "--token-env",
            metavar="NAME",
            help="Ask for the token in this variable: as a password, or as `Authorization: Bearer`.",
        ),
    ] = None,
    actions: Annotated[
        bool, typer.Option("--actions", help="Allow run, pause, resync and others. Needs --token-env.")
    ] = False,
    env_file: EnvFile = None,
    debug: Debug = False,
) -> None:
    """Serve the status page on this machine, until Ctrl-C. Reads only the ledger, never Snowflake."""
    quiet_log(debug=debug)
    place = _place(config, env_file)
    token = _token(Invocation(place, env_file), token_env)
    if token is None and host not in LOOPBACK:
        raise ConfigError(
            f"--host {host}: other machines could read the page without a password",
            advice="Set a variable to a long random token, and name it with --token-env NAME.",
        )
    if token is None and actions:
        raise ConfigError(
            "--actions: anyone on this machine could pause and resync tables",
            advice="Set a variable to a long random token, and name it with --token-env NAME.",
        )
    if env_file is not None:
        _extend_environment(env_file)
    with _kept_postgres(place), _listening(host, port) as listener:
        application = _application(place, token, actions=actions)
        say(f"status page: http://{_shown(host)}:{listener.getsockname()[1]}/sync/ (Ctrl-C stops it)")
        if token is None:
            say("read-only, without query ids and contents of rejected rows: --token-env NAME shows them")
        _run(application, listener)


def _place(config: Path | None, env_file: Path | None) -> Path:
    """The table list; if none is named and there is none here, or none with settings, that of the demo's data."""
    invocation, kept = Invocation(config, env_file), KEPT / TABLE_LIST
    if config is not None or not kept.is_file():
        return invocation.path()
    from pgsnow.config.load import env_beside, load_ledger

    try:
        place = invocation.path()
        load_ledger(env_file=env_file or env_beside(place))
    except ConfigError:
        say(f"no table list with connection settings here: these are the data of the demo, in {KEPT}")
        return kept
    return place


def _token(invocation: Invocation, name: str | None) -> Secret | None:
    """The token in the variable, of the environment or of .env. Raises ConfigError if it is empty."""
    if name is None:
        return None
    from pgsnow.model.settings.secret import Secret

    if not (value := invocation.variables(invocation.path()).get(name, "").strip()):
        raise ConfigError(
            f"--token-env {name}: the variable is not set", advice=f"export {name}=$(openssl rand -hex 24)"
        )
    return Secret(value)


@contextmanager
def _kept_postgres(table_list: Path) -> Iterator[None]:
    """Runs the Postgres of the demo's data for the time of the block, unless it runs already."""
    folder = table_list.parent
    if not (folder / "postgres").is_dir() or not (folder / "ports.json").is_file():
        yield
        return
    from pgsnow.embedded.postgres import EmbeddedPostgres
    from pgsnow.embedded.process import accepts
    from pgsnow.embedded.stack import Ports

    last = Ports.remembered(folder).postgres
    if last is None or accepts(last):
        yield
        return
    say(f"starting the Postgres of {folder} …")
    with EmbeddedPostgres(folder / "postgres", last):
        yield


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens there. Raises ConfigError if that is not possible."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen()
        except OSError as error:
            raise ConfigError(
                f"{host}, port {port}: {error.strerror or error}",
                advice="Choose another port with --port (0: a free one), or another address with --host.",
            ) from None
        yield listener


def _extend_environment(env_file: Path) -> None:
    """Add the file's variables to this process's environment, where the router looks; it overrides the file."""
    from pgsnow.config.load import variables

    for name, value in variables(env_file=env_file).items():
        os.environ.setdefault(name, value)


def _application(table_list: Path, token: Secret | None, *, actions: bool) -> Any:
    try:
        import uvicorn  # noqa: F401
    except ImportError:
        raise MissingExtra("uvicorn", "serve") from None
    from pgsnow.cli.commands.web.application import application_of

    return application_of(table_list, token, LOOPBACK, actions=actions)


def _run(application: Any, listener: socket.socket) -> None:
    """Serve until SIGINT or SIGTERM; a request under way is answered first."""
    import uvicorn

    options = uvicorn.Config(application, log_level="warning", access_log=False, proxy_headers=False)
    try:
        uvicorn.Server(options).run(sockets=[listener])
    except KeyboardInterrupt:
        say("stopped")


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
