"""Where part files lie between Postgres and Snowflake: a folder a run, removed with it, also after a kill."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType


def spool_root(base: Path | None = None) -> Path:
    """`PGSNOW_SPOOL_DIR`, or a folder of this user's in the system's temporary one."""
    return base or Path(
        os.environ.get("PGSNOW_SPOOL_DIR") or Path(tempfile.gettempdir()) / f"pgsnow-{os.getuid()}"
    )


class Spool:
    """A private folder (mode 0700) named after this process; a context manager that removes it."""

    def __init__(self, run_id: str, root: Path | None = None) -> None:
        self._root = spool_root(root)
        self._run_id = run_id
        self._units = 0
        self._folder: Path | None = None

    def __enter__(self) -> Spool:
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-{self._run_id}-", dir=self._root))
        return self

    def unit_folder(self) -> Path:
        """A new, empty folder for one load unit."""
        if self._folder is None:
            raise RuntimeError("the spool is not open")
        folder = self._folder / f"unit-{self._units:04d}"
        self._units += 1
        folder.mkdir()
        return folder

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


def sweep_spool(root: Path | None = None) -> int:
    """Remove the folders of processes that are no more. Returns how many."""
    gone = [folder for folder in _folders(spool_root(root)) if not _alive(folder)]
    for folder in gone:
        shutil.rmtree(folder, ignore_errors=True)
    return len(gone)


def _folders(root: Path) -> list[Path]:
    return [entry for entry in root.iterdir() if entry.is_dir()] if root.is_dir() else []


def _alive(folder: Path) -> bool:
    pid = folder.name.partition("-")[0]
    if not pid.isdigit():
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
