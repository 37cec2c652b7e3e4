"""POST {prefix}/api/v1/requests: actions on tables, which the workers carry out. Only where the application allows
actions, and protects them by its own dependencies."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from pgsnow.integrations.fastapi.api.models import RequestOut
from pgsnow.integrations.fastapi.api.problem import RequestProblem, problem_responses
from pgsnow.integrations.fastapi.guarded import RouteFailed
from pgsnow.integrations.fastapi.security import is_from_this_site
from pgsnow.integrations.fastapi.web import Web
from pgsnow.ledger.requests.requests import RequestAction

MOST_ROWS = 1000
TableName = Annotated[str, Field(pattern=r"^[^\x00]*$", max_length=500)]
"""Name of a table of the configuration."""


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    def arguments(self) -> dict[str, Any]:
        """As Requests.add takes them."""
        return {}


class RunBody(_Body):
    """Sync a table now, or all of them (null)."""

    action: Literal["run"]
    table: TableName | None = None


class TableBody(_Body):
    """Rebuild the content of a target, or continue a paused table."""

    action: Literal["resync", "resume"]
    table: TableName


class PauseBody(_Body):
    """Grant no run this table from now on. reason: for others to read."""

    action: Literal["pause"]
    table: TableName
    reason: Annotated[str, Field(pattern=r"^[^\x00]*$", max_length=200)] = ""

    def arguments(self) -> dict[str, Any]:
        return {"reason": self.reason} if self.reason else {}


class RowsBody(_Body):
    """Read rejected rows again, or close them without loading them. ids: empty for all open ones of the table."""

    action: Literal["replay", "dismiss"]
    table: TableName
    ids: tuple[Annotated[int, Field(ge=1, le=2**63 - 1)], ...] = Field((), max_length=MOST_ROWS)

    def arguments(self) -> dict[str, Any]:
        return {"ids": sorted(set(self.ids))} if self.ids else {}


ActionBody = Annotated[RunBody | TableBody | PauseBody | RowsBody, Field(discriminator="action")]
"""An action to carry out, by its name."""


def add_actions(router: APIRouter, web: Web) -> None:
    """Add the route to the API's router."""

    @router.post(
        "/requests",
        response_model=RequestOut,
        status_code=202,
        responses={200: {"model": RequestOut, "description": "Done"}, **problem_responses(403)},
        dependencies=[Depends(_from_this_site)],
    )
    def ask(action: ActionBody, request: Request, response: Response) -> Any:
        """Ask for an action: 202 if the next tick of a worker carries it out, 200 if it is done. Asking again for one
        that has not ended changes nothing, and is answered with the same request."""
        known = {None, *(table.name for table in web.config().tables)}
        if action.table not in known and action.action != "dismiss":
            raise RequestProblem(f"no table {action.table!r} is configured", "GET tables lists all of them.")
        asked = web.ledger().requests.add(
            action.table, RequestAction(action.action), action.arguments(), by=_asker(request)
        )
        response.status_code = 200 if asked.finished_at else 202
        response.headers["Location"] = f"{web.root(request)}/api/v1/requests/{asked.id}"
        return asked


def _from_this_site(request: Request) -> None:
    if not is_from_this_site(request):
        raise RouteFailed(RequestProblem("the request was sent by a page of another site", status=403))


def _asker(request: Request) -> str:
    """The user's name, if the application's authentication has set one."""
    return str(getattr(request.scope.get("user"), "display_name", "") or "the API")
