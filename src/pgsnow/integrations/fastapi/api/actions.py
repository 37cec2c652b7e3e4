"""POST {prefix}/api/v1/requests: actions on tables, which the workers carry out. Only where the application allows
actions, and protects them by its own dependencies."""

from __future__ import annotations

from typing import Annotated, Any, Self

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.requests import Request

from pgsnow.integrations.fastapi.api.models import RequestOut
from pgsnow.integrations.fastapi.api.problem import RequestProblem, problem_responses
from pgsnow.integrations.fastapi.guarded import RouteFailed
from pgsnow.integrations.fastapi.security import is_from_this_site
from pgsnow.integrations.fastapi.web import Web
from pgsnow.ledger.requests.requests import RequestAction

OF_ROWS = (RequestAction.REPLAY, RequestAction.DISMISS)
MOST_ROWS = 1000


class ActionIn(BaseModel):
    """An action to carry out. Asking again for one that has not ended yet changes nothing: it is answered with the
    same request."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: Annotated[str, Field(pattern=r"^[^\x00]*$", max_length=500)] | None = None
    """Name of a table of the configuration; null: all tables, for `run`."""
    action: RequestAction
    ids: tuple[Annotated[int, Field(ge=1, le=2**63 - 1)], ...] = Field((), max_length=MOST_ROWS)
    """For replay and dismiss: the rejected rows; empty: all open ones of the table."""
    reason: Annotated[str, Field(pattern=r"^[^\x00]*$", max_length=200)] = ""
    """For pause: why, for others to read."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.table is None and self.action is not RequestAction.RUN:
            raise ValueError(f"the action {self.action} needs a table")
        if self.ids and self.action not in OF_ROWS:
            raise ValueError(f"the action {self.action} takes no ids")
        if self.reason and self.action is not RequestAction.PAUSE:
            raise ValueError(f"the action {self.action} takes no reason")
        return self

    def arguments(self) -> dict[str, Any]:
        """As Requests.add takes them."""
        return ({"ids": sorted(set(self.ids))} if self.ids else {}) | (
            {"reason": self.reason} if self.reason else {}
        )


def add_actions(router: APIRouter, web: Web) -> None:
    """Add the route to the API's router."""

    @router.post(
        "/requests",
        response_model=RequestOut,
        status_code=202,
        responses={200: {"model": RequestOut, "description": "Done"}, **problem_responses(403)},
        dependencies=[Depends(_from_this_site)],
    )
    def ask(action: ActionIn, request: Request, response: Response) -> Any:
        """Ask for an action: 202 if the next tick of a worker carries it out, 200 if it is done."""
        known = {table.name for table in web.config().tables}
        if (
            action.table is not None
            and action.table not in known
            and action.action is not RequestAction.DISMISS
        ):
            raise RequestProblem(f"no table {action.table!r} is configured", "GET tables lists all of them.")
        asked = web.ledger().requests.add(action.table, action.action, action.arguments(), by=_asker(request))
        response.status_code = 200 if asked.finished_at else 202
        response.headers["Location"] = f"{web.root(request)}/api/v1/requests/{asked.id}"
        return asked


def _from_this_site(request: Request) -> None:
    if not is_from_this_site(request):
        raise RouteFailed(RequestProblem("the request was sent by a page of another site", status=403))


def _asker(request: Request) -> str:
    """The user's name, if the application's authentication has set one."""
    return str(getattr(request.scope.get("user"), "display_name", "") or "the API")
