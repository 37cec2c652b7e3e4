"""Folders for part files between Postgres and Snowflake: one per run, removed at its end, or after a kill by a
later process."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType


def spool_root(base: Path | None = None) -> Path:
    """`base`, else `PGSNOW_SPOOL_DIR`, else a folder for this user in the system's temporary directory."""
    return base or Path(
        os.environ.get("PGSNOW_SPOOL_DIR") or Path(tempfile.gettempdir()) / f"pgsnow-{os.getuid()}"
    )


class Spool:
    """A private folder (mode 0700) named after this process and the run; a context manager that removes it."""

    def __init__(self, run_id: str, root: Path | None = None) -> None:
        self._root = spool_root(root)
        self._run_id = run_id
        self._batches = 0
        self._folder: Path | None = None

    def __enter__(self) -> Spool:
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-{self._run_id}-", dir=self._root))
        return self

    def batch_folder(self) -> Path:
        """A new, empty folder for the part files of one load batch."""
        if self._folder is None:
            raise RuntimeError("the spool is not open")
        folder = self._folder / f"batch-{self._batches:04d}"
        self._batches += 1
        folder.mkdir()
        return folder

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


def clean_spool(root: Path | None = None) -> int:
    """Remove the folders of processes that have ended; returns how many. Idempotent."""
    root = spool_root(root)
    folders = [entry for entry in root.iterdir() if entry.is_dir()] if root.is_dir() else []
    abandoned = [folder for folder in folders if not _is_alive(folder.name.partition("-")[0])]
    for folder in abandoned:
        shutil.rmtree(folder, ignore_errors=True)
    return len(abandoned)


def _is_alive(pid: str) -> bool:
    """False if there is no process with this id; True for a name that does not begin with an id."""
    if not pid.isdigit():
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
