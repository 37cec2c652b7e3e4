"""`pgsnow serve`: the status page alone, from one command."""

from __future__ import annotations

import os
import signal
import socket
from importlib.resources import files
from pathlib import Path
from urllib.request import urlopen

import psycopg
from fastapi.testclient import TestClient

from pgsnow.cli.commands.web.application import application_of
from pgsnow.cli.commands.web.serve import LOOPBACK
from pgsnow.embedded.env_file import write_env_file
from pgsnow.embedded.postgres import EmbeddedPostgres
from pgsnow.embedded.process import accepts, free_port
from pgsnow.embedded.stack import Ports
from pgsnow.ledger.ledger import Ledger
from pgsnow.model.settings.secret import Secret
from pgsnow.model.settings.settings import PostgresSettings
from tests.acceptance.cli_user import User
from tests.forked import run_forked
from tests.progress import wait_until

TOKEN = "a-long-random-token"


def test_one_command_shows_the_data_of_the_demo(tmp_path: Path) -> None:
    """After `make demo` nothing runs any more: `pgsnow serve` starts the Postgres of its data, shows the page, and
    leaves nothing behind after Ctrl-C."""
    tmp_path.chmod(0o711)  # as root, Postgres runs as another user, who must pass through
    kept = tmp_path / ".pgsnow"
    kept.mkdir()
    with (
        EmbeddedPostgres(kept / "postgres") as server,
        psycopg.connect(server.dsn(), autocommit=True) as admin,
    ):
        admin.execute("create database app")
        ledger = Ledger(PostgresSettings.from_dsn(server.dsn("app")))
        ledger.migrate()
        ledger.close()
        Ports(server.port, None).save(kept)
        write_env_file(kept / ".env", {"POSTGRES_DSN": server.dsn("app")})
        postgres = server.port
    table_list = files("pgsnow.embedded.demo").joinpath("sync_config.yaml").read_bytes()
    (kept / "sync_config.yaml").write_bytes(table_list)
    port = free_port()
    running = run_forked(
        "pgsnow", ["serve", "--port", str(port)], env={"PATH": os.environ["PATH"]}, cwd=tmp_path
    )
    try:
        wait_until(lambda: accepts(port), lambda: f"{postgres}: {accepts(postgres)}")
        with urlopen(f"http://127.0.0.1:{port}/") as page:
            assert page.url.endswith("/sync/")
            assert "public.users" in page.read().decode()
    finally:
        os.kill(running.pid, signal.SIGINT)
        code = running.wait()
    out, err = running.output()
    assert code == 0, out + err
    assert f"http://127.0.0.1:{port}/sync/" in out + err
    assert not accepts(postgres)


def test_what_would_let_strangers_in_is_refused(user: User) -> None:
    """Another address, or actions, only with a token; each refusal says what to do."""
    user.save()
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = str(other.getsockname()[1])
        for arguments, told in (
            (["--host", "0.0.0.0"], "--token-env"),
            (["--actions"], "--token-env"),
            (["--token-env", "NOT_SET"], "openssl rand"),
            (["--host", "0.0.0.0", "--token-env", "EMPTY"], "openssl rand"),
            (["--port", taken], "--port"),
        ):
            done = user.here("serve", *arguments, EMPTY=" ")
            assert (done.code, told in done.err) == (2, True), done.err


def test_a_name_that_leads_here_does_not_open_the_page(user: User) -> None:
    """Without a token, a page elsewhere could read this one through a name of its own that resolves to this machine
    (DNS rebinding): only the names of this machine are answered. With a token it asks for that instead."""
    user.save()

    def client(host: str, token: Secret | None) -> TestClient:
        application = application_of(user.config, token, LOOPBACK, actions=token is not None)
        return TestClient(application, base_url=f"http://{host}")

    for host, code in (
        ("127.0.0.1:8080", 200),
        ("localhost", 200),
        ("[::1]:8080", 200),
        ("evil.example", 421),
    ):
        assert client(host, None).get("/openapi.json").status_code == code, host
    protected = client("status.example", Secret(TOKEN))
    assert protected.get("/sync/").status_code == 401
    assert "/sync/api/v1/requests" in protected.get("/openapi.json").json()["paths"]
