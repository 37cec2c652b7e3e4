"""Actions that a person has asked for, as the pages show them: what became of each."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from pgsnow.integrations.fastapi.addresses import run_address
from pgsnow.ledger.requests.requests import Request, RequestAction, RequestState
from pgsnow.model.sentences import counted

SHOWN = timedelta(minutes=15)
"""An action that has ended is shown for as long."""
TITLES = {
    RequestAction.RUN: "Run",
    RequestAction.RESYNC: "Resync",
    RequestAction.REPLAY: "Replay",
    RequestAction.PAUSE: "Pause",
    RequestAction.RESUME: "Resume",
    RequestAction.DISMISS: "Dismiss",
}
STATES = {
    RequestState.OPEN: ("waiting", "busy"),
    RequestState.TAKEN: ("at work", "busy"),
    RequestState.DONE: ("done", "good"),
    RequestState.FAILED: ("failed", "bad"),
}
UNDER_WAY = (RequestState.OPEN, RequestState.TAKEN)


class AskedAction(NamedTuple):
    """A requested action with a word and tone for its state. run: the address of the run that did it, "" if none."""

    id: int
    title: str
    word: str
    tone: str
    text: str
    at: datetime
    by: str
    run: str


def asked_actions(requests: Iterable[Request], now: datetime) -> list[AskedAction]:
    """The requests that are under way, and those that have ended a short while ago, in their order."""
    return [_shown(one) for one in requests if one.finished_at is None or now - one.finished_at < SHOWN]


def busy_actions(requests: Iterable[Request]) -> set[str]:
    """Actions on whole tables that are under way: asking for them again would change nothing."""
    return {str(one.action) for one in requests if one.state in UNDER_WAY and not one.arguments.get("ids")}


def busy_rows(requests: Iterable[Request]) -> set[int]:
    """Numbers of the rejected rows for which a replay is under way."""
    under_way = [one for one in requests if one.state in UNDER_WAY and one.action is RequestAction.REPLAY]
    return {number for one in under_way for number in one.arguments.get("ids", ())}


def _shown(request: Request) -> AskedAction:
    word, tone = STATES[request.state]
    table, run = request.source_table, request.run_id
    return AskedAction(
        request.id,
        _title(request),
        word,
        tone,
        _text(request),
        request.requested_at,
        request.requested_by,
        run_address(run, table) if run and table and request.state is RequestState.DONE else "",
    )


def _title(request: Request) -> str:
    title = TITLES[request.action]
    if ids := request.arguments.get("ids"):
        return f"{title} {counted(len(ids), 'row')}" if len(ids) > 1 else f"{title} row {ids[0]}"
    return (
        f"{title} all rejected rows"
        if request.action in (RequestAction.REPLAY, RequestAction.DISMISS)
        else title
    )


def _text(request: Request) -> str:
    if request.state is RequestState.OPEN:
        return request.error or "The next tick of a worker takes it."
    if request.state is RequestState.TAKEN:
        return f"{request.taken_by} has it." if request.taken_by else ""
    return (request.error if request.state is RequestState.FAILED else request.status) or ""
