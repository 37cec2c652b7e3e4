"""Answers requests that a client repeats after a lost reply."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from starlette.requests import Request
from starlette.responses import JSONResponse

from pgsnow.embedded.snowflake.hooks.routes import QUERY, Endpoint, replace_route
from pgsnow.embedded.snowflake.sessions.late import LateStatements

KEPT_ANSWERS = 500
KEPT_BYTES = 1_000_000
"""Bytes of the largest answer that is kept. Larger ones belong to queries, which may run again."""


def answer_repeated_requests_once(late: LateStatements) -> None:
    """Stock: a statement that is sent again after a lost reply runs a second time. The real service recognizes the
    request by its id and repeats the first answer."""
    answers: OrderedDict[str, asyncio.Task[JSONResponse]] = OrderedDict()

    def wrap(stock: Endpoint) -> Endpoint:
        async def query(request: Request) -> JSONResponse:
            key = request.query_params.get("requestId")
            if key is None:
                return await stock(request)
            late.ask(key)
            await request.body()  # a lost client must not take it away from the task
            task = answers.get(key) or asyncio.ensure_future(stock(request))
            _remember(answers, key, task)
            response = await asyncio.shield(task)
            if len(response.body) > KEPT_BYTES:
                answers.pop(key, None)
            return response

        return query

    replace_route(QUERY, wrap)


def _remember(
    answers: OrderedDict[str, asyncio.Task[JSONResponse]], key: str, task: asyncio.Task[JSONResponse]
) -> None:
    answers[key] = task
    answers.move_to_end(key)
    while len(answers) > KEPT_ANSWERS:
        answers.popitem(last=False)
