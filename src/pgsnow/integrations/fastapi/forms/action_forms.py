"""The route that takes the pages' forms: run, pause, resume, resync, replay, dismiss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from pgsnow.integrations.fastapi.addresses import list_address, table_address
from pgsnow.integrations.fastapi.page import ActionRefused, PageNotFound, page_router
from pgsnow.integrations.fastapi.security import is_from_this_site
from pgsnow.integrations.fastapi.web import Web
from pgsnow.ledger.requests.requests import RequestAction

LONGEST = 100_000
"""Bytes of a form at most; a page of rejected rows needs a few hundred."""
REASON = 200
"""Characters of a reason that are kept."""


def action_routes(web: Web) -> APIRouter:
    """POST /actions with the fields `action`, `table`, any number of `id` (of rejected rows; none: all open ones),
    `reason`, and `view`, the page to go back to. Answers 303 to that page, which shows what becomes of the action; 403
    if another site has sent the form. Asking twice for the same is asking once."""
    router = page_router(web)

    @router.post("/actions")
    async def act(request: Request) -> Response:
        if not is_from_this_site(request):
            raise ActionRefused("The form was not sent by a page of this site.")
        form = parse_qs((await request.body())[:LONGEST].decode(errors="replace"))
        fields = {name: values[0] for name, values in form.items()}
        table = fields.get("table", "")
        action, arguments = _asked(fields, form.get("id", []))
        await run_in_threadpool(_ask, web, table, action, arguments, _asker(request))
        back = (
            list_address("rejected", table=table)
            if fields.get("view") == "rejected"
            else table_address(table)
        )
        return Response(status_code=303, headers={"Location": web.base(request) + back})

    return router


def _asked(fields: Mapping[str, str], ids: list[str]) -> tuple[RequestAction, dict[str, Any]]:
    """The action with its arguments. Raises ActionRefused for fields that no form of these pages has."""
    known = fields.get("action") in {*RequestAction}
    storable = all(number.isdecimal() and len(number) < 19 for number in ids)
    if not known or not storable or "\0" in fields.get("table", "") + fields.get("reason", ""):
        raise ActionRefused("The form has a field that no form of this page has.")
    action = RequestAction(fields["action"])
    if action in (RequestAction.REPLAY, RequestAction.DISMISS) and ids:
        return action, {"ids": sorted({*map(int, ids)})}
    reason = fields.get("reason", "").strip()[:REASON]
    return action, {"reason": reason} if action is RequestAction.PAUSE and reason else {}


def _ask(web: Web, table: str, action: RequestAction, arguments: Mapping[str, Any], by: str) -> None:
    """Rejected rows of a table that is not configured any more can be dismissed; anything else needs a table."""
    if action is not RequestAction.DISMISS and table not in {one.name for one in web.config().tables}:
        raise PageNotFound(f"No table of the configuration has the name {table}.")
    web.ledger().requests.add(table, action, arguments, by=by)


def _asker(request: Request) -> str:
    """The user's name, if the application's authentication has set one, else the page."""
    return str(getattr(request.scope.get("user"), "display_name", "") or "the status page")
