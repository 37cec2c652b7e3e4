"""Part files leave no trace: not after a run, and not after a run that was killed."""

from __future__ import annotations

from pathlib import Path

from pgsnow.sync.pipeline.spool import Spool, clean_spool


def test_a_spool_is_private_and_gone_after_its_run(tmp_path: Path) -> None:
    with Spool("run", tmp_path / "spool") as spool:
        folder = spool.batch_folder()
        (folder / "part").write_text("x")
        assert folder.parent.stat().st_mode & 0o777 == 0o700
        assert spool.batch_folder() != folder
    assert list((tmp_path / "spool").iterdir()) == []


def test_no_folder_of_this_process_is_removed(tmp_path: Path) -> None:
    with Spool("one", tmp_path / "spool") as spool:
        folder = spool.batch_folder()
        assert clean_spool(tmp_path / "spool") == 0
        assert folder.is_dir()


def test_cleaning_a_spool_that_never_was_is_fine(tmp_path: Path) -> None:
    assert clean_spool(tmp_path / "never") == 0
