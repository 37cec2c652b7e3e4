"""The folder for part files belongs to another user, is shared, or is full.

Group: process
Danger: part files have rows of every table. Another user of the machine has created `/tmp/pgsnow-1000` first and reads
them; two containers that share the folder delete each other's files, because each has a process with the same id; a
disk is full, and the run ends with an unexpected error.
Answer: the folder must belong to the worker's user with mode 700. If `PGSNOW_SPOOL_DIR` is none, a private folder is
made in it; if that cannot be, the run says what to do, and nothing is written. A locked file shows which folders are in
use. A run that cannot write its files leaves none, and the next one reads the rows again.
"""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pgsnow.model.errors import SpoolDenied, SpoolUnavailable
from pgsnow.model.report import Status
from pgsnow.sync.pipeline.spool import Spool, clean_spool, spool_error, spool_root
from tests.world import MemoryWorld

OWN = f"pgsnow-{os.geteuid()}"
HOLD = """
import sys
from pathlib import Path
from pgsnow.sync.pipeline.spool import Spool
spool = Spool("other", Path(sys.argv[1])).__enter__()
print(spool.batch_folder(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """PGSNOW_SPOOL_DIR, which does not exist yet."""
    root = tmp_path / "spool"
    monkeypatch.setenv("PGSNOW_SPOOL_DIR", str(root))
    return root


def folder_of() -> Path:
    with Spool("run") as spool:
        folder = spool.batch_folder()
        (folder / "part").write_text("x")
        return folder


def test_a_missing_folder_is_made(root: Path) -> None:
    """With its parents, and for this user alone."""
    assert folder_of().parent.parent == root
    assert root.stat().st_mode & 0o777 == 0o700
    assert list(root.iterdir()) == []


def test_a_folder_that_others_may_enter_gets_a_private_one_in_it(root: Path) -> None:
    """Such as a volume that an orchestrator mounts with mode 777, or one behind a link."""
    root.mkdir()
    root.chmod(0o777)
    assert folder_of().parent.parent == root / OWN
    assert (root / OWN).stat().st_mode & 0o777 == 0o700
    link = root.with_name("link")
    link.symlink_to(root)
    assert spool_root(link) == (link / OWN, None)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_refused(root: Path) -> None:
    """Whatever its mode is: its owner could read the files, or put others in their place."""
    (root / OWN).mkdir(parents=True, mode=0o700)
    root.chmod(0o777)
    os.chown(root / OWN, 12345, 12345)
    with (
        pytest.raises(SpoolDenied, match=rf"{OWN}: it belongs to another user \(id 12345\)") as caught,
        Spool("run"),
    ):
        pass
    assert "PGSNOW_SPOOL_DIR" in caught.value.advice
    assert clean_spool() == 0


@pytest.mark.parametrize("kind", ["link", "file", "open"])
def test_what_is_no_private_folder_is_refused(root: Path, kind: str) -> None:
    """A link could lead anywhere."""
    root.mkdir()
    root.chmod(0o777)
    if kind == "link":
        (root / OWN).symlink_to(root.parent)
    elif kind == "file":
        (root / OWN).touch()
    else:
        (root / OWN).mkdir()
        (root / OWN).chmod(0o750)
    with pytest.raises(SpoolDenied, match=r"its mode is 750|it is a link or a file"), Spool("run"):
        pass


@pytest.mark.parametrize("name", ["a[b", "a*", "a?"])
def test_a_path_that_is_a_pattern_is_refused_before_anything_is_read(root: Path, name: str) -> None:
    """PUT would look for other files."""
    with (
        pytest.raises(SpoolDenied, match=r"PUT takes \*, \? and \[ in a path for a pattern"),
        Spool("r", root / name),
    ):
        pass


def test_a_folder_in_which_nothing_can_be_made(root: Path) -> None:
    """The error names it, and the variable."""
    root.write_text("a file")
    with pytest.raises(SpoolDenied, match=f"cannot be written to {root}"), Spool("run"):
        pass


def test_a_live_folder_of_another_container_is_kept(root: Path) -> None:
    """Process ids say nothing there: only the lock does, and it ends with its process."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    folder = Path(process.stdout.readline().strip())
    assert clean_spool() == 0
    assert folder.is_dir()
    process.kill()
    process.wait()
    assert clean_spool() == 1
    assert list(root.iterdir()) == []


def test_a_folder_of_an_older_version_is_kept_for_a_day(root: Path) -> None:
    """It has no lock, and its process may live in another container."""
    (root / "123-run-x" / "batch-0000").mkdir(parents=True)
    root.chmod(0o700)
    (root / "not-ours").mkdir()
    assert clean_spool() == 0
    past = time.time() - 100_000
    for path in (root / "123-run-x" / "batch-0000", root / "123-run-x"):
        os.utime(path, (past, past))
    assert clean_spool() == 1
    assert [path.name for path in root.iterdir()] == ["not-ours"]


def test_a_full_disk_loses_nothing_and_leaves_nothing(root: Path, memory_world: MemoryWorld) -> None:
    """A limit on the size of a file stands for it. The next tick loads the rows."""
    memory_world.sql("insert into users (id, name) select g, md5(g::text) from generate_series(1, 5000) g")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with memory_world.engine() as engine:
        engine.ledger.migrate()
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
        try:
            [report] = engine.tick().tables
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert (report.status, report.error_type, report.transient) == (
            Status.ERROR,
            "SpoolUnavailable",
            True,
        )
        assert f"part files cannot be written to {root}" in (report.error or "")
        assert "Free space" in (report.advice or "")
        assert list(root.iterdir()) == []
        assert engine.tick().failures == ()
    memory_world.assert_equal()


def test_which_errors_pass(root: Path) -> None:
    """A full disk may have room at the next tick; a missing right does not come by itself."""
    assert isinstance(spool_error(OSError(errno.ENOSPC, "No space left on device"), root), SpoolUnavailable)
    assert isinstance(spool_error(OSError(errno.EACCES, "Permission denied"), root), SpoolDenied)
