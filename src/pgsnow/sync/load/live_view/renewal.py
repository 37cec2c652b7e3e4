"""Keeps the live view of a target in step with its loads.

The view shows files by their fence, which is part of their path, so a tick that only stages rows sends nothing for it.
It is made again after each load, before rows are removed from the target: files that stay for running queries
must not show them again. docs/decisions/53-a-view-of-what-waits.md
"""

from __future__ import annotations

import time

from pgsnow.model.errors import AccessDenied, TableError, TargetConflict
from pgsnow.model.metadata_columns import DELETED_AT, DELETED_AT_COLUMN
from pgsnow.snowflake.schema.live_view import drop_live_view, make_live_view
from pgsnow.snowflake.sql.live_view import LiveView, live_view_name
from pgsnow.sync.load.context import LoadContext
from pgsnow.sync.load.target import LOOK_SECONDS, reads_files
from pgsnow.sync.pipeline.load_batches import batch_name

REFUSED_SECONDS = 3600.0
"""After a refusal, the view is left as it is for so long."""
ADVICE = "Grant CREATE VIEW and CREATE FILE FORMAT on its schema to the role, or leave out `live_view`."


def follow(load: LoadContext, *, sweeps: bool, loaded: bool = True) -> None:
    """See `Destination.follow_live_view`. loaded: False if the run has loaded none of its own rows yet, and has
    altered columns: the view fails as long as it names a column that was renamed or dropped."""
    notes, table = load.target.notes, load.table
    if time.monotonic() < notes.live_view_refused_until:
        return
    try:
        if load.plan.config.live_view:
            _renew(load, always=sweeps or not loaded, loaded=loaded)
        elif load.session.do(lambda session: drop_live_view(session, load.plan.target)):
            load.recorder.events.append(f"dropped view {live_view_name(load.plan.target)}")
    except (AccessDenied, TableError) as refused:
        notes.live_view, notes.live_view_refused_until = None, time.monotonic() + REFUSED_SECONDS
        name = live_view_name(load.plan.target)
        advice = refused.advice if isinstance(refused, TargetConflict) else ADVICE
        load.recorder.events.append(f"the view {name} could not be renewed: {refused} — {advice}")
        return
    if not load.plan.config.live_view:
        notes.live_view = None
        table.remember_live_view(made=False)


def _renew(load: LoadContext, *, always: bool, loaded: bool) -> None:
    notes = load.target.notes
    if notes.live_view is not None and not (load.recorder.statements or always):
        return
    view = _view_of(load, load.table.claim.fence if loaded else load.table.claim.fence - 1)
    if view is None or view == notes.live_view:
        return
    if load.table.claim.staged and notes.live_view is not None and view.differs_by_fence(notes.live_view):
        return  # nothing was loaded since then
    now = time.monotonic()
    known = notes.live_view is not None and notes.live_view_looked_at is not None
    is_ours = known and now - (notes.live_view_looked_at or 0.0) < LOOK_SECONDS
    load.table.remember_live_view(
        made=True
    )  # a run that has lost its lease must not bring an older view back
    if load.session.do(lambda session: make_live_view(session, view, is_ours=is_ours)):
        load.recorder.events.append(f"created view {live_view_name(load.plan.target)}")
    notes.live_view = view
    notes.live_view_looked_at = notes.live_view_looked_at if is_ours else now


def _view_of(load: LoadContext, fence: int) -> LiveView | None:
    """The view as it must be now; None: no statement can read the table's files. fence: the target has all rows up to
    it, except staged ones."""
    plan, claim = load.plan, load.table.claim
    name = batch_name(plan, 0, 0)
    batch = load.stage.origin(plan.target, name) if reads_files(plan) else None
    if batch is None:
        return None
    loaded_until = min((staged.fence - 1 for staged in claim.staged), default=fence)
    folder = batch.removesuffix(name.rpartition("/")[2] + "/")
    own, marked = plan.metadata_columns, DELETED_AT_COLUMN in (load.target.columns or ())
    if marked and DELETED_AT not in own:  # of a time with `deletes: soft`
        own = (*own, DELETED_AT)
    return LiveView(plan.target, plan.output, plan.target_key, own, folder, loaded_until)
