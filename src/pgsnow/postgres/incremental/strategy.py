"""How a table is read after a checkpoint: in which mode, whether everything must be read (I4), and else which rows.

A probe and the read after it decide alike.
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg.sql import SQL, Composable, Literal

from pgsnow.model.checkpoint import (
    LOG_WENT_BACK,
    XIDS_WENT_BACK,
    Checkpoint,
    Horizon,
    ReadMode,
    break_in_history,
    is_restarted,
)
from pgsnow.model.config.sync_config import LateRows, TableMode
from pgsnow.model.errors import SourceAccessDenied
from pgsnow.model.plan import TablePlan
from pgsnow.postgres import sql
from pgsnow.postgres.incremental.next_checkpoint import ReadPoint, bounding_low
from pgsnow.postgres.incremental.sequence import Fetch, SequenceState, read_sequence
from pgsnow.postgres.incremental.window import (
    EPOCH,
    HALF,
    UNBOUNDED,
    Window,
    is_integer,
    lookback_bound,
    lower_bound,
)

CONTENT_CHANGED = "the content changed"
SET_TO_NULL = "last_watermark in sync_watermarks was set to NULL by hand"
_MODES = {
    LateRows.LOSSLESS: (ReadMode.WATERMARK, ReadMode.XMIN),
    LateRows.LOOKBACK: (ReadMode.LOOKBACK,),
    LateRows.OFF: (ReadMode.CURSOR,),
}
_BY_XID = frozenset({ReadMode.XMIN, ReadMode.LOOKBACK})
"""Modes that cannot do without transaction ids. (A lookback would find the newest rows again in each tick.)"""
_LOSSLESS = _MODES[LateRows.LOSSLESS]
_OTHER_MODES = {
    TableMode.XMIN: (ReadMode.XMIN, ReadMode.WATERMARK),
    TableMode.LOG: (ReadMode.XMIN, ReadMode.WATERMARK),
    TableMode.FULL: (ReadMode.FULL,),
    TableMode.APPEND: (ReadMode.APPEND,),
}
"""The read mode of a table's `mode`, then others whose checkpoints it can continue from: a lossless one
missed nothing."""
# What the log does not show, such as changes while there was no slot, is read by transaction id.
_WHY_WITHOUT_WATERMARK = {
    ReadMode.FULL: "mode: full; nothing is sent while the content is the same",
    ReadMode.APPEND: "mode: append; rows that are not in the target yet are added, nothing is deleted",
}
_WHY_BY_WATERMARK = {
    ReadMode.WATERMARK: "rows are found by {} and their transaction ids",
    ReadMode.LOOKBACK: "late_rows: lookback, by {}",
    ReadMode.CURSOR: "late_rows: off, by {} alone",
}


@dataclass(frozen=True, slots=True)
class ReadStrategy:
    """`full_read`: why everything must be read; None: the rows of `window` are enough. kept_until: the newest watermark
    of the rows that are still as they were read, if rows with newer ones were read (only after a restart)."""

    mode: ReadMode
    shape: str
    full_read: str | None
    window: Window | None
    sequence: SequenceState | None = None
    kept_until: str | None = None
    audit_every: float = 0.0

    def read_point(self, x: int, xmax: int, *, standby: bool, lsn: int | None) -> ReadPoint:
        """The strategy applied to a snapshot with this xmin and xmax, and this end of the write-ahead log."""
        return ReadPoint(self.mode, x, xmax, self.sequence, standby, self.shape, self.audit_every, lsn)

    def full_read_at(self, checkpoint: Checkpoint | None, x: int, xmax: int) -> str | None:
        """Why everything must be read, now that the snapshot's xmin and xmax are known; or None."""
        if self.full_read is not None or checkpoint is None:
            return self.full_read
        if self.mode is ReadMode.CURSOR:
            return None
        since = checkpoint.x if self.window is None else self.window.since
        return reason_in_xids(checkpoint, x, xmax, since)


def choose_strategy(
    fetch: Fetch,
    plan: TablePlan,
    checkpoint: Checkpoint | None,
    horizon: Horizon,
    *,
    full: bool = False,
    because: str | None = None,
) -> ReadStrategy:
    """The strategy for the next read.

    full: a person requested a full read, which also lets a table in xmin mode try its watermark again.
    because: why everything must be read, if that cannot be seen from the checkpoint.
    fetch: asks Postgres about an integer watermark's sequence, and for a row that was read after a restart that nothing
    else explains; not called otherwise. Raises what it raises, and
    SourceAccessDenied if the mode needs transaction ids that the role may not read."""
    reason = because or reason_to_read_all(plan, checkpoint, horizon) or ("requested" if full else None)
    mode = mode_of(plan, None if full else checkpoint)
    sequence = None
    if mode is ReadMode.WATERMARK and is_integer(plan):
        sequence = read_sequence(fetch, plan, None if reason else checkpoint, horizon)
        mode = ReadMode.XMIN if sequence is None else mode
    if mode in _BY_XID and not plan.has_xmin:
        raise _xmin_denied(plan, mode)
    window, kept_until = None, None
    if reason is None and checkpoint is not None:
        # A sequence that went back has given small values again: by xid alone, this once.
        restarted = sequence is not None and sequence.restarted
        bound = None if restarted else _bound(plan, mode, checkpoint, horizon)
        since, seen = checkpoint.x, checkpoint.seen
        if mode is ReadMode.XMIN and checkpoint.mode is ReadMode.WATERMARK:
            # No audit follows in xmin mode: what the watermark hid since the last one is read now.
            since, seen = min(since, checkpoint.audit_x or 0), frozenset()
        window = Window(plan, since, bound, seen, checkpoint.again)
        if is_restarted(checkpoint, horizon) and not plan.whole:
            from pgsnow.postgres.incremental.restart import after_restart  # rare

            window, reason, kept_until = after_restart(fetch, mode, window, checkpoint, horizon)
            reason = LOG_WENT_BACK if restarted else reason
        if checkpoint.reset_to is not None:
            from pgsnow.postgres.incremental.reset import from_watermark  # rare

            window = from_watermark(window, checkpoint.reset_to)
    return ReadStrategy(
        mode, plan.shape, reason, window, sequence, kept_until, audit_every=plan.config.audit_every
    )


def _bound(plan: TablePlan, mode: ReadMode, checkpoint: Checkpoint, horizon: Horizon) -> Composable | None:
    if mode is ReadMode.LOOKBACK:
        return lookback_bound(plan, checkpoint, horizon)
    if mode is not ReadMode.WATERMARK:
        return lower_bound(plan, UNBOUNDED)
    at_most = checkpoint.last_watermark if plan.has_xmin else None
    return lower_bound(plan, bounding_low(checkpoint), at_most=at_most)


def _xmin_denied(plan: TablePlan, mode: ReadMode) -> SourceAccessDenied:
    """The error of a table that is read by transaction id, where the role may not read those."""
    source = plan.source
    return SourceAccessDenied(
        f"{source.name}: role {source.role} may not read the system column xmin ({why_mode(plan, mode)})",
        advice=f"{source.grant_on(['xmin'])} Or write `mode: full`, which needs no system column.",
    )


def mode_of(plan: TablePlan, checkpoint: Checkpoint | None) -> ReadMode:
    """The mode to read in. A table that an audit moved to xmin mode stays in it as long as the reads continue from
    that checkpoint."""
    wanted = _OTHER_MODES.get(plan.config.mode) or _MODES[plan.config.late_rows]
    moved = checkpoint is not None and checkpoint.mode is ReadMode.XMIN
    return ReadMode.XMIN if wanted == _LOSSLESS and (moved or not is_usable(plan)) else wanted[0]


def is_usable(plan: TablePlan) -> bool:
    """True if a bound on the watermark can be determined: not where a subscription writes what another server assigned.
    An integer must show when it was assigned: no session may keep a stock of older values, and no writer may choose
    one."""
    if plan.source.is_subscribed:
        return False
    return not is_integer(plan) or plan.source.is_numbered_in_order(plan.watermark_column.name)


def seen_xid(
    plan: TablePlan, window: Window, xmax: int, horizon: Horizon, sequence: SequenceState | None
) -> Composable:
    """An SQL expression: the xid of a row, NULL if the row does not prove that its transaction has ended.

    A visible row proves it, except on a server that has given out more than 2^32 xids: a row that was frozen long
    ago still shows the low half of its xid, and that may now be a running transaction's, whose rows must not be
    taken for read. Only a watermark between the bound and the present shows that a row is new.
    """
    xid = window.xid
    if xmax < EPOCH and window.always_from is None:
        return xid
    if (
        window.bound is None or window.always_from is not None
    ):  # the latter: other transactions may get the xid
        return SQL("null::bigint")
    column = sql.watermark(plan)
    return SQL("case when {} >= {} and {} <= {} then {} end").format(
        column, window.bound, column, _present(plan, horizon, sequence), xid
    )


def _present(plan: TablePlan, horizon: Horizon, sequence: SequenceState | None) -> Composable:
    """The highest watermark that a writer can have set by now, in any time zone, unless it made the value up."""
    if is_integer(plan):
        return Literal(int(sequence.value) if sequence is not None and sequence.value is not None else 0)
    return SQL("({}::timestamptz + interval '2 days')::{}").format(
        Literal(horizon.taken_at), SQL(plan.watermark_column.type_name)
    )


def reason_to_read_all(plan: TablePlan, checkpoint: Checkpoint | None, horizon: Horizon) -> str | None:
    """Why an incremental read cannot continue from this checkpoint, as far as is known before a snapshot; or None."""
    if checkpoint is None:
        return "first read"
    if broken := break_in_history(checkpoint, horizon):
        return broken
    if checkpoint.reset_to == "":
        return SET_TO_NULL
    if checkpoint.shape not in (None, plan.shape, plan.older_shape):
        return "the configuration changed"
    # A lossless checkpoint has missed nothing, so a lookback may continue from it.
    modes = _OTHER_MODES.get(plan.config.mode) or _MODES[plan.config.late_rows]
    narrowed = modes == _MODES[LateRows.LOOKBACK] and checkpoint.mode in _LOSSLESS
    if checkpoint.mode not in modes and not narrowed:
        if plan.config.mode is not TableMode.WATERMARK:
            return f"mode is now {plan.config.mode}"
        return f"late_rows is now {plan.config.late_rows}"
    if checkpoint.mode is ReadMode.CURSOR and checkpoint.cursor is None:
        return "the first read did not reach its first page"
    return None


def reason_in_xids(checkpoint: Checkpoint, x: int, xmax: int, since: int | None = None) -> str | None:
    """Why a snapshot with this xmin and xmax cannot continue from the checkpoint, with a window from `since` on (None:
    from the checkpoint's x); or None."""
    if x < checkpoint.x:
        return XIDS_WENT_BACK
    if xmax - (checkpoint.x if since is None else since) >= HALF:
        return "more than 2^31 transactions since the last read"
    return None


def why_mode(plan: TablePlan, mode: ReadMode) -> str:
    """Why a table is read in the mode that a probe has chosen: one sentence for people, without a full stop."""
    if mode in _WHY_WITHOUT_WATERMARK:
        return _WHY_WITHOUT_WATERMARK[mode]
    watermark = plan.watermark.name if plan.watermark is not None else None
    if mode is ReadMode.WATERMARK and not plan.has_xmin:
        return (
            f"rows are found by {watermark} alone, because the role may not read xmin: some are read again, and an"
            " audit that is due reads the whole table if any row has changed"
        )
    if mode is not ReadMode.XMIN:
        return _WHY_BY_WATERMARK[mode].format(watermark)
    if plan.config.mode is TableMode.XMIN or watermark is None:
        return "mode: xmin; changed rows are found by transaction id alone, so each tick scans every row"
    if plan.source.is_subscribed:
        return (
            "by transaction id: a subscription writes the table later than another server gave"
            f" {watermark} its values"
        )
    if not is_usable(plan):
        return (
            f"by transaction id: nothing shows that values of {watermark} are given out in order (it is not GENERATED"
            " ALWAYS AS IDENTITY from a sequence with INCREMENT 1 and CACHE 1)"
        )
    if is_integer(plan):
        return f"by transaction id: the sequence of {watermark} cannot be read, or an audit found it wrong"
    return f"by transaction id: an audit found rows whose {watermark} is wrong"
