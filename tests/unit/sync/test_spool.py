"""Part files leave no trace: not after a run, and not after a run that was killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from pgsnow.sync.pipeline.spool import Spool, clean_spool


def test_a_spool_is_private_and_gone_after_its_run(tmp_path: Path) -> None:
    with Spool("run", tmp_path / "spool") as spool:
        folder = spool.batch_folder()
        (folder / "part").write_text("x")
        assert folder.parent.stat().st_mode & 0o777 == 0o700
        assert spool.batch_folder() != folder
    assert list((tmp_path / "spool").iterdir()) == []


def test_the_folder_of_a_killed_process_is_removed_and_a_live_one_is_kept(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / f"{dead.pid}-run-x").mkdir()
    (tmp_path / f"{os.getpid()}-run-y").mkdir()
    (tmp_path / "not-ours").mkdir()
    assert clean_spool(tmp_path) == 1
    assert {entry.name for entry in tmp_path.iterdir()} == {f"{os.getpid()}-run-y", "not-ours"}


def test_cleaning_a_spool_that_never_was_is_fine(tmp_path: Path) -> None:
    assert clean_spool(tmp_path / "never") == 0
