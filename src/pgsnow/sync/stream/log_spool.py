"""`log_spool_dir`: files of changes that nothing else can take, because Snowflake or the bucket cannot be reached.

The folder is on a disk that outlives the worker, and is shared by all workers. A file in it, `pgsnow-spool.json`, shows
that it is the folder which the ledger knows: a volume that was not mounted is not taken for an empty folder. Each batch
has a folder of its own, which gets its name when its files are on the disk; then the ledger records the batch, with
the size and the checksum of each file. What the ledger does not know is removed.
docs/decisions/68-changes-kept-on-a-volume.md
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import stat
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pgsnow.ledger.slots.store import Slots
from pgsnow.model.config.sync_config import SyncConfig
from pgsnow.model.deferred_batch import KeptFile, KeptFiles, StagedBatch
from pgsnow.model.errors import LogSpoolUnusable, StagedRowsLost

MARKER = "pgsnow-spool.json"
UNFINISHED = ".unfinished"
"""Ending of the folder of a batch whose files are still being written."""
PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class LogSpool:
    """The folder of one configuration, identified by its ledger and its slot. most: bytes that it may hold."""

    path: Path
    most: int
    slots: Slots
    slot: str
    ledger: str

    def problem(self) -> str | None:
        """Why the folder cannot be used; None: it is the one that the ledger knows. Raises what the ledger raises."""
        known = self.slots.spool_of(self.slot)
        if (why := self._not_private()) is not None:
            return why
        found = self._marker()
        if found is None:
            return f"{self.path} has no file {MARKER}: its volume may not be mounted"
        if (found.get("ledger"), found.get("slot")) != (self.ledger, self.slot):
            return f"{self.path} belongs to another ledger or configuration"
        if found.get("spool") != known:
            return f"{self.path} is not the folder that `pgsnow log setup` made for this configuration"
        return None

    def make(self, *, new: bool = False) -> bool:
        """Make the folder with its marker, if the ledger knows none yet; True if it was made. new: the one that the
        ledger knows is given up: batches that wait there are read from their tables. Raises LogSpoolUnusable."""
        known = self.slots.spool_of(self.slot)
        if known and not new:
            self._verify()
            return False
        try:
            self.path.mkdir(mode=0o700, exist_ok=True)
            if (why := self._not_private()) is None and (found := self._marker()) is not None:
                same = (found.get("ledger"), found.get("slot")) == (self.ledger, self.slot)
                why = None if same else f"{self.path} belongs to another ledger or configuration"
            if why is not None:
                raise LogSpoolUnusable(why)
            identity = uuid.uuid4().hex
            text = json.dumps({"spool": identity, "ledger": self.ledger, "slot": self.slot})
            unfinished = self.path / f"{MARKER}{UNFINISHED}"
            unfinished.unlink(missing_ok=True)
            _write(unfinished, [text.encode()])
            unfinished.rename(self.path / MARKER)
            _sync_folder(self.path)
        except OSError as error:
            raise LogSpoolUnusable(f"{self.path}: {error.strerror or error}") from None
        self.slots.remember_spool(self.slot, identity)
        return True

    def keep(self, batch: str, parts: Sequence[Path]) -> KeptFiles:
        """Copy these files to the folder; they are on its disk when this returns. Idempotent. Raises
        LogSpoolUnusable, also if the folder would be too large."""
        self._verify()
        final = self._folder_of(batch)
        unfinished = final.with_name(final.name + UNFINISHED)
        try:
            size, held = sum(part.stat().st_size for part in parts), self.size()
            if held + size > self.most:
                raise LogSpoolUnusable(
                    f"{self.path} holds {held >> 20:,} MB, and may hold {self.most >> 20:,} MB",
                    advice="Nothing is lost, the changes wait on the source. Raise `max_log_spool_dir` if there is"
                    " room.",
                )
            for leftover in (unfinished, final):
                if leftover.exists():
                    shutil.rmtree(leftover)
            final.parent.mkdir(mode=0o700, exist_ok=True)
            unfinished.mkdir(mode=0o700)
            files = tuple(_copy(part, unfinished / part.name) for part in parts)
            _sync_folder(unfinished)
            unfinished.rename(final)
            _sync_folder(final.parent)
            _sync_folder(self.path)
        except OSError as error:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise LogSpoolUnusable(
                f"{self.path}: {error.strerror or error}",
                advice="Nothing is lost, the changes wait on the source: free space there, or check the volume.",
            ) from None
        return KeptFiles(str(self.slots.spool_of(self.slot)), files)

    def parts_of(self, batch: StagedBatch) -> list[Path]:
        """The files of a batch that was kept here, exactly as they were written. Raises LogSpoolUnusable if this is not
        the folder now, and StagedRowsLost if one is missing or was altered, or the folder was given up."""
        kept = batch.kept or KeptFiles("", ())
        if kept.spool != self.slots.spool_of(self.slot):
            raise StagedRowsLost(f"{batch.batch} was kept in a folder that was given up since then")
        self._verify()
        folder = self._folder_of(batch.batch)
        for file in kept.files:
            if not _is_as_written(folder / file.name, file):
                raise StagedRowsLost(f"{folder / file.name} is missing, or is not as it was written")
        return [folder / file.name for file in kept.files]

    def sweep(self, batch_of_table: str, waiting: Collection[str]) -> None:
        """Remove what is kept of a table, except for these batches; the run must have claimed the table.
        batch_of_table: the name of any batch of it. Never raises OSError: a later run tries again."""
        table = self._folder_of(batch_of_table).parent
        kept = {self._folder_of(batch).name for batch in waiting}
        with contextlib.suppress(OSError):
            for found in list(table.iterdir()):
                if found.name not in kept:
                    shutil.rmtree(found, ignore_errors=True)
            if not kept:
                table.rmdir()

    def holds(self, batch_of_table: str) -> bool:
        """True if there is anything of this table."""
        return self._folder_of(batch_of_table).parent.is_dir()

    def size(self) -> int:
        """Bytes of all files in the folder, from which other workers may remove some meanwhile."""
        found = 0
        for place, _, names in os.walk(self.path):
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    found += (Path(place) / name).lstat().st_size
        return found

    def _verify(self) -> None:
        if (why := self.problem()) is not None:
            raise LogSpoolUnusable(why)

    def _folder_of(self, batch: str) -> Path:
        table, _, number = batch.rpartition("/")
        digest = hashlib.sha256(table.encode()).hexdigest()[:12]
        return self.path / f"{table[:80]}-{digest}" / number

    def _not_private(self) -> str | None:
        try:
            found = self.path.lstat()
        except OSError as error:
            return f"{self.path}: {error.strerror}"
        if not stat.S_ISDIR(found.st_mode):
            return f"{self.path} is a link or a file"
        if found.st_uid != os.geteuid():
            return f"{self.path} belongs to another user (id {found.st_uid})"
        if found.st_mode & 0o077:
            return f"{self.path} has mode {stat.S_IMODE(found.st_mode):o}, not 700"
        return None

    def _marker(self) -> Mapping[str, object] | None:
        """The content of the marker; None: there is none that can be read."""
        try:
            with _opened(self.path / MARKER) as handle:
                found = json.loads(os.read(handle, PIECE))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None


def spool_of(config: SyncConfig, slots: Slots, ledger: str) -> LogSpool | None:
    """The folder that the configuration names; None: it names none. ledger: the ledger's id."""
    if config.log_spool_dir is None:
        return None
    slot, _ = config.log_names(ledger)
    return LogSpool(Path(config.log_spool_dir), config.max_log_spool_dir, slots, slot, ledger)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    """A regular file, for reading. Raises OSError, also for a link."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(f"{path} is no regular file")
        yield handle
    finally:
        os.close(handle)


def _pieces(path: Path) -> Iterator[bytes]:
    with _opened(path) as handle:
        while piece := os.read(handle, PIECE):
            yield piece


def _write(path: Path, pieces: Collection[bytes] | Iterator[bytes]) -> KeptFile:
    """Write a new file with mode 600 and wait until it is on the disk."""
    digest, size = hashlib.sha256(), 0
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "wb") as file:
        for piece in pieces:
            digest.update(piece)
            size += file.write(piece)
        file.flush()
        os.fsync(handle)
    return KeptFile(path.name, size, digest.hexdigest())


def _copy(source: Path, path: Path) -> KeptFile:
    return _write(path, _pieces(source))


def _is_as_written(path: Path, file: KeptFile) -> bool:
    digest, size = hashlib.sha256(), 0
    try:
        for piece in _pieces(path):
            digest.update(piece)
            size += len(piece)
    except OSError:
        return False
    return (size, digest.hexdigest()) == (file.size, file.sha256)


def _sync_folder(path: Path) -> None:
    """Wait until the folder's entries are on the disk."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
