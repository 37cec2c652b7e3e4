"""Errors of the API as documents of RFC 9457: what is wrong, and how to fix it; never a traceback or a secret."""

from __future__ import annotations

from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from pgsnow.integrations.fastapi.api.models import ProblemOut
from pgsnow.integrations.fastapi.guarded import AnswerError
from pgsnow.integrations.fastapi.web import Web
from pgsnow.model.errors import ConfigError, PgsnowError
from pgsnow.model.unexpected import public_advice, public_text
from pgsnow.sync.runtime.log import log_unexpected

MEDIA_TYPE = "application/problem+json"
TITLES = {
    403: "Not allowed",
    404: "Not found",
    422: "A parameter is wrong",
    500: "Unexpected error",
    503: "The ledger or the configuration cannot be read",
}


def problem_responses(*codes: int) -> dict[int | str, dict[str, Any]]:
    """`responses` of a route that may answer with these codes."""
    problem = {MEDIA_TYPE: {"schema": ProblemOut.model_json_schema()}}
    found: dict[int | str, dict[str, Any]] = {
        code: {"description": TITLES[code], "content": problem} for code in codes
    }
    if (
        404 in found
    ):  # an address that is no route's, such as one with a line break, is answered by the application
        found[404]["content"] = problem | {"application/json": {"schema": {"type": "object"}}}
    return found


class RequestProblem(Exception):
    """A request that cannot be answered as it is. The text and the advice are shown."""

    def __init__(self, text: str, advice: str = "", *, status: int = 404) -> None:
        super().__init__(text)
        self.advice = advice
        self.status = status


def answer_problem(web: Web) -> AnswerError:
    """Makes the answer to an error of a route."""

    def answer(_request: Request, error: Exception) -> Response:
        problem = problem_of(error)
        if problem.status == 500:
            log_unexpected(error, web.source.secrets())
        return JSONResponse(problem.model_dump(), problem.status, media_type=MEDIA_TYPE)

    return answer


def problem_of(error: Exception) -> ProblemOut:
    """The document of an error."""
    if isinstance(error, RequestProblem):
        return _problem(error.status, str(error), error.advice)
    if isinstance(error, RequestValidationError):
        found = tuple(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        return _problem(422, "; ".join(found), problems=found)
    text, advice = public_text(error), public_advice(error)
    if isinstance(error, ConfigError):
        return _problem(503, text, advice, tuple(error.problems))
    return _problem(503 if isinstance(error, PgsnowError) else 500, text, advice)


def _problem(status: int, detail: str, advice: str = "", problems: tuple[str, ...] = ()) -> ProblemOut:
    return ProblemOut(title=TITLES[status], status=status, detail=detail, advice=advice, problems=problems)
