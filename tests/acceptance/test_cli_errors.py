"""`errors`: from the rejected row to the repaired one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.cli_user import User
from tests.progress import CEILING

TRANSFORM = """
def strict(row):
    if row["name"] == "bad":
        raise ValueError("this name will not do")
    return row
"""


@pytest.fixture
def rejected(user: User) -> User:
    """A user two of whose rows were rejected."""
    (user.folder / "cleaning.py").write_text(TRANSFORM)
    user.tables[0]["transform"] = "cleaning:strict"
    user.env["PYTHONPATH"] = str(user.folder)
    user.save()
    user.sql("update public.users set name = 'bad' where id in (5, 6)")
    done = user.pgsnow("run")
    assert done.code == 0, done.err
    assert "2 rows rejected" in done.err
    return user


def ids(user: User, *more: str) -> list[int]:
    return [line["id"] for line in user.here("errors", "list", "--output", "jsonl", *more).lines]


def test_list_and_show_tell_row_reason_and_payload(rejected: User) -> None:
    listed = rejected.here("errors", "list")
    assert listed.code == 0
    assert "this name will not do" in listed.out
    assert "id=5" in listed.out
    [first, _] = rejected.here("errors", "list", "--output", "json").json
    shown = rejected.here("errors", "show", str(first["id"]), "--output", "json")
    assert shown.json["payload"]["name"] == "bad"
    assert "payload" in rejected.here("errors", "show", str(first["id"])).out


def test_replay_loads_the_rows_once_their_cause_is_gone(rejected: User) -> None:
    rejected.sql("update public.users set name = 'good' where id = 5")
    done = rejected.pgsnow("errors", "replay", "--table", "public.users", "--output", "json")
    assert done.code == 0, done.err
    assert len(ids(rejected)) == 1
    assert len(ids(rejected, "--state", "replayed")) == 1
    assert len(ids(rejected, "--state", "all")) == 2


def test_dismiss_needs_yes_and_lets_the_rows_go(rejected: User) -> None:
    first, second = ids(rejected)
    asked = rejected.here("errors", "dismiss", str(first))
    assert asked.code == 2
    assert "--yes" in asked.err
    assert ids(rejected) == [first, second]
    assert rejected.here("errors", "dismiss", str(first), "--yes").code == 0
    assert ids(rejected) == [second]
    assert rejected.here("errors", "dismiss", "--all", "--yes").code == 0
    assert rejected.here("errors", "list").err.strip() == "no open errors"
    assert rejected.here("errors", "replay", "--all").err.strip() == "no open errors"


def test_naming_no_error_or_an_unknown_one_is_wrong_usage(rejected: User) -> None:
    assert rejected.here("errors", "dismiss", "--yes").code == 2
    assert rejected.here("errors", "replay").code == 2
    unknown = rejected.here("errors", "show", "999999")
    assert unknown.code == 2
    assert "999999" in unknown.err


def test_status_shows_that_rows_wait(rejected: User) -> None:
    [users, _] = rejected.here("status", "--output", "json").json
    assert (users["state"], users["open_errors"]) == ("rows-refused", 2)


def test_list_before_anything_ran_is_empty(user: User, tmp_path: Path) -> None:
    assert user.here("errors", "list", "--output", "json").json == []


REPLAY = """
import sys, threading
class AtExit:
    def find_spec(self, name, path, target=None):
        if name == "concurrent.futures.process" and threading.current_thread().name == "pgsnow-import":
            threading.main_thread().join()
            print("imported at exit")
sys.meta_path.insert(0, AtExit())
from pgsnow.cli.entry import run
sys.exit(run(["errors", "replay", "--all"]))
"""


def test_a_command_that_ends_before_the_driver_is_imported_says_nothing_of_it(rejected: User) -> None:
    """The rows are gone from the source, so nothing is loaded. The import that began meanwhile ends with the
    interpreter, which lets no pool of processes be set up any more."""
    rejected.sql("delete from public.users where id in (5, 6)")
    done = subprocess.run(
        [sys.executable, "-c", REPLAY],
        env=rejected.env,
        cwd=rejected.folder,
        capture_output=True,
        text=True,
        timeout=CEILING,
    )
    assert "imported at exit" in done.stdout
    assert "Traceback" not in done.stderr
    assert "atexit" not in done.stderr
    assert done.returncode == 0
