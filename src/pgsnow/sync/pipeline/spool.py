"""Folders for part files between Postgres and Snowflake: one per run, removed at its end, or after a kill by a
later process.

Part files hold rows of any table, so nobody else may read or replace them: the root must be ours, with mode 0700. A
root may be shared by containers, which have process ids of their own: a locked file beside each folder shows that its
process lives.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import tempfile
import time
from pathlib import Path
from types import TracebackType

from pgsnow.model.errors import PgsnowError, SpoolDenied, SpoolUnavailable

PREFIX = "run-"
LOCK = ".lock"
OLDER_VERSION_SECONDS = 86_400.0
"""Folders of older versions have no lock: they are removed after this time without a change."""
_PASSING = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EMFILE, errno.ENFILE, errno.EINTR}
)


def spool_root(base: Path | None = None) -> tuple[Path, str | None]:
    """The folder that the folders of runs are in, and why it cannot be used (None: it can, or does not exist yet).

    `base`, or else `PGSNOW_SPOOL_DIR`, if it is private; else a private folder of this user in it, or in the system's
    temporary directory."""
    given = base or os.environ.get("PGSNOW_SPOOL_DIR") or None
    chosen = [Path(given)] if given else []
    root = Path(given or tempfile.gettempdir()) / f"pgsnow-{os.geteuid()}"
    problem: str | None = None
    for root in (*chosen, root):  # noqa: B020
        if any(c in str(root.absolute()) for c in "*?["):
            return root, "Snowflake's PUT takes *, ? and [ in a path for a pattern"
        try:
            found = root.lstat()
        except FileNotFoundError:
            return root, None
        except OSError as error:
            problem = str(error.strerror)
            continue
        if not stat.S_ISDIR(found.st_mode):
            problem = "it is a link or a file"
        elif found.st_uid != os.geteuid():
            problem = f"it belongs to another user (id {found.st_uid})"
        elif found.st_mode & 0o077:
            problem = f"its mode is {stat.S_IMODE(found.st_mode):o}, not 700"
        else:
            return root, None
    return root, problem


def spool_error(error: OSError, folder: Path) -> PgsnowError:
    """The error to raise in place of one of the file system."""
    text = f"part files cannot be written to {folder}: {error.strerror or error}"
    if error.errno in _PASSING:
        return SpoolUnavailable(text)
    return SpoolDenied(text)


class Spool:
    """A private folder (mode 0700) of one run; a context manager that removes it."""

    def __init__(self, run_id: str, root: Path | None = None) -> None:
        self._base = root
        self._run_id = run_id
        self._batches = 0
        self._folder: Path | None = None
        self._lock = -1

    def __enter__(self) -> Spool:
        """Raises SpoolUnavailable, SpoolDenied."""
        root, problem = spool_root(self._base)
        try:
            if problem is None:
                root.mkdir(mode=0o700, parents=True, exist_ok=True)
                root, problem = spool_root(self._base)  # someone else may have created it
            if problem is not None:
                advice = (
                    "Set PGSNOW_SPOOL_DIR to a path without these characters." if "PUT" in problem else ""
                )
                raise SpoolDenied(f"part files cannot be written to {root}: {problem}", advice=advice)
            while self._folder is None:
                self._lock, name = tempfile.mkstemp(LOCK, f"{PREFIX}{self._run_id}-", root)
                fcntl.flock(self._lock, fcntl.LOCK_EX)
                if os.fstat(self._lock).st_nlink:  # else another process has just removed it
                    self._folder = Path(name.removesuffix(LOCK))
                    self._folder.mkdir(mode=0o700)
                else:
                    os.close(self._lock)
        except OSError as error:
            raise spool_error(error, root) from error
        return self

    def batch_folder(self) -> Path:
        """A new, empty folder for the part files of one load batch."""
        if self._folder is None:
            raise RuntimeError("the spool is not open")
        folder = self._folder / f"batch-{self._batches:04d}"
        self._batches += 1
        try:
            folder.mkdir(mode=0o700)
        except OSError as error:
            raise spool_error(error, folder) from error
        return folder

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            Path(f"{self._folder}{LOCK}").unlink(missing_ok=True)
            os.close(self._lock)
            self._folder = None


def clean_spool(root: Path | None = None) -> int:
    """Remove the folders of processes that have ended; returns how many. Idempotent. Leaves a root alone that is not
    private: a run will say what is wrong with it."""
    root, problem = spool_root(root)
    if problem is not None or not root.is_dir():
        return 0
    removed = 0
    for entry in root.iterdir():
        if entry.name.startswith(PREFIX) and entry.name.endswith(LOCK):
            removed += _remove_if_free(entry)
        elif entry.name.partition("-")[0].isdigit() and _is_of_an_older_version(entry):
            shutil.rmtree(entry, ignore_errors=True)
            removed += 1
    return removed


def _remove_if_free(lock: Path) -> bool:
    """Remove the lock's folder, then the lock, if no process holds it. True if there was a folder."""
    try:
        handle = os.open(lock, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        folder = lock.with_name(lock.name.removesuffix(LOCK))
        found = folder.is_dir()
        shutil.rmtree(folder, ignore_errors=True)
        lock.unlink(missing_ok=True)
    except OSError:  # its process lives
        return False
    finally:
        os.close(handle)
    return found


def _is_of_an_older_version(folder: Path) -> bool:
    """True for the folder of an older version that nothing has written to for long."""
    try:
        newest = max(path.lstat().st_mtime for path in (folder, *folder.rglob("*")))
    except OSError:
        return False
    return folder.is_dir() and time.time() - newest > OLDER_VERSION_SECONDS
