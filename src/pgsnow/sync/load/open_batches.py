"""The open load batches of one table: those that may have left files or tables in Snowflake, until they are cleaned
up. And the sessions of runs in which a statement may still be running.

Files of a loaded batch wait in the ledger until those of many batches, of all tables of a schema, are removed by
one statement. Files of any other batch, and of every batch of a run that has failed, are removed by the run itself or
by the next one, before it loads: a statement that comes late must not find them.
docs/decisions/51-files-are-removed-together.md
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from pgsnow.ledger.history.loaded_files import LoadedFiles
from pgsnow.ledger.ledger import Ledger
from pgsnow.model.errors import PgsnowError
from pgsnow.snowflake.session import Session
from pgsnow.snowflake.stage.stage import Stages
from pgsnow.sync.load.claimed_table import ClaimedTable
from pgsnow.sync.runtime.recorder import Recorder

SESSION = "session:"
"""In the ledger's list of open batches, this and a number stand for a session, which leaves nothing to be removed."""
LARGE = 256 << 20
"""Bytes of loaded files above which a run removes them before its next batch."""
MANY = 100
"""Number of loaded batches above which a run removes their files before its next batch."""


@dataclass(frozen=True, slots=True)
class OpenBatch:
    """A batch that may have left files or tables. inherited: another run began it, perhaps with another
    configuration and another stage. table: it may have a staging table. files: it may have files. loaded: its rows are
    in the target, and no statement reads its files any more."""

    name: str
    inherited: bool = False
    table: bool = True
    files: bool = True
    loaded: LoadedFiles | None = None


@dataclass(frozen=True, slots=True)
class FilePlace:
    """The stage of a run's files. account, location: as in LoadedFiles. remove_due: removes loaded files that have
    waited here for long enough. grace: seconds for which files stay after they are loaded, for queries that read them.
    """

    account: str
    location: str
    remove_due: Callable[[], None]
    grace: float = 0.0


class OpenBatches:
    """Open batches of earlier runs and of this one. Each is recorded in the ledger before anything of it exists."""

    def __init__(
        self,
        table: ClaimedTable,
        recorder: Recorder,
        remove: Callable[[Sequence[OpenBatch]], None],
        remove_once: Callable[[Sequence[OpenBatch]], None],
        unsettled: set[int] | None = None,
        place: FilePlace | None = None,
    ) -> None:
        """remove: removes everything that these batches have left, with retries. remove_once: the same, without a
        retry. unsettled: gets the numbers of inherited sessions. place: None if no files can wait."""
        self._table = table
        self._recorder = recorder
        self._remove = remove
        self._remove_once = remove_once
        self._unsettled = set[int]() if unsettled is None else unsettled
        self._place = place
        self._open: dict[str, OpenBatch] = {}
        self._shadows: dict[str, OpenBatch] = {}
        if table.claim.open_batches:
            self.inherit(table.claim.open_batches)

    def record(self, batch: str) -> None:
        """Record the batch in the ledger. Raises LeaseLost if another run has claimed the table."""
        self._table.ledger.checkpoints.open_batch(self._table.claim, batch)

    def begin(self, batch: str) -> None:
        """Record the batch in the ledger, before anything of it exists; it is cleaned up later. Raises LeaseLost."""
        self._table.ledger.checkpoints.open_batch(self._table.claim, batch)
        known = self._open.get(batch)
        self._open[batch] = OpenBatch(batch, known is not None and known.inherited)

    def running(self, session: int) -> None:
        """Record that a statement of this session must have ended before another run loads the table. Raises
        LeaseLost."""
        name = f"{SESSION}{session}"
        if name not in self._open:
            self.record(name)
            self._open[name] = OpenBatch(name, table=False, files=False)

    def leaves(self, batch: str, *, files: bool) -> None:
        """Record that this open batch has no staging table, and whether it has files, unless it is begun again."""
        self._open[batch] = replace(self._open[batch], table=False, files=files)

    def loaded(self, batch: str, size: int, *, location: str | None = None) -> None:
        """Record that this open batch is loaded, and that its files (so many bytes) are not needed any more. location:
        of its files, if they are not in the run's own stage."""
        known = self._open[batch]
        if self._place is None or known.table or not known.files:
            return
        at = location or self._place.location
        account = self._place.account if at.startswith('"') else ""  # a stage's name is quoted
        self._open[batch] = replace(known, loaded=LoadedFiles(batch, account, at, size, self._place.grace))

    def inherit(self, batches: Sequence[str]) -> None:
        """Also clean up these batches of other processes, in whichever stage their files are."""
        for name in batches:
            is_session = name.startswith(SESSION)
            new = OpenBatch(name, inherited=True, table=not is_session, files=not is_session)
            batch = self._open.setdefault(name, new)
            if is_session and batch.inherited:
                self._unsettled.add(int(name.removeprefix(SESSION)))

    def forget(self, batches: Collection[str]) -> None:
        """Do not clean these up: they are staged batches, which are loaded later."""
        for batch in batches:
            self._open.pop(batch, None)

    def keep_shadow(self, batch: str) -> None:
        """Do not clean this one up before `release_shadows`: its table is a shadow table that is still needed."""
        self._shadows.setdefault(batch, self._open.pop(batch, OpenBatch(batch)))

    def release_shadows(self) -> None:
        """Shadow tables are no longer needed: they are cleaned up like the rest."""
        self._open = self._shadows | self._open
        self._shadows = {}

    def cleanup(self, *, but: Collection[str] = (), shadows: bool = False, wait: bool = False) -> None:
        """Remove everything that the open batches have left, except for these. Idempotent. shadows: remove shadow
        tables too. wait: at the end of the run, after which no batch gets a name of these: files of loaded batches may
        stay for now. With `but`, before the end, loaded batches stay open, unless much has gathered and no query reads
        it."""
        if shadows and self._shadows:
            self.release_shadows()
        done = [batch for batch in self._open.values() if batch.name not in but]
        loaded = [batch.loaded for batch in done if batch.loaded is not None]
        waiting = loaded if wait else []
        read = self._place is not None and self._place.grace > 0
        if but and (read or (sum(files.size for files in loaded) <= LARGE and len(loaded) <= MANY)):
            done = [batch for batch in done if batch.loaded is None]
        if not done:
            return
        kept, place = {files.batch for files in waiting}, self._place
        with self._recorder.timed("sweep"):
            left = [batch for batch in done if (batch.table or batch.files) and batch.name not in kept]
            if left:
                self._remove(left)
            due = self._table.ledger.checkpoints.close_batches(
                self._table.claim, [batch.name for batch in done], waiting,
                account=place.account if place else "", location=place.location if place else "",
            )  # fmt: skip
        for batch in done:
            del self._open[batch.name]
        self._recorder.tell("swept")
        if due and place is not None:
            place.remove_due()

    def abandon(self) -> None:
        """Remove this run's own batches after another run has claimed the table: that run cleaned up only what
        existed at the time of its claim. No other run uses these batch names. Never raises an error from Snowflake."""
        own = [batch for batch in self._open.values() if not batch.inherited and (batch.table or batch.files)]
        if own:
            with contextlib.suppress(PgsnowError):
                self._remove_once(own)


def remove_loaded_files(
    ledger: Ledger,
    do: Callable[[Callable[[Session], object]], object],
    stages: Stages,
    account: str,
    locations: Sequence[str],
) -> list[str]:
    """Remove the loaded files that wait at these places, and those that wait elsewhere in the account for more than an
    hour, with one statement for each stage. A stage that is missing counts as emptied, unless it is of another
    configuration. Returns a sentence about each place whose files could not be removed: that is tried again after an
    hour. do: executes an action with a session, which is not opened before it is needed."""
    problems = []
    for location, batches in ledger.loaded_files.take(account, locations).items():
        step = stages.removal(location, batches)
        if step is None:
            continue
        try:
            removed = do(step.send)
        except PgsnowError as error:
            problems.append(f"files of {len(batches)} loaded batches stay in {location}: {error}")
            continue
        if removed or location in locations:
            ledger.loaded_files.forget(account, location, batches)
    return problems
