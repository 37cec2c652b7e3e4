"""HTTP application of the emulator: that of fakesnow with repairs, and additional routes below /pgsnow/."""

from __future__ import annotations

from pathlib import Path

import fakesnow.server
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from pgsnow.embedded.snowflake.install import install
from pgsnow.embedded.snowflake.sessions.expiry import expire
from pgsnow.embedded.snowflake.sessions.journal import Journal
from pgsnow.embedded.snowflake.sessions.late import LateStatements
from pgsnow.embedded.snowflake.sessions.scripted_errors import ScriptedErrors
from pgsnow.embedded.snowflake.stages.buckets import Buckets
from pgsnow.embedded.snowflake.stages.storage import StoredSnowflake
from pgsnow.embedded.snowflake.statements.hidden import hidden


def create_app(directory: Path, idle_seconds: float, threads: int | None = None) -> Starlette:
    """The application over the data in `directory`. Once a process. threads: as in StoredSnowflake.

    A transaction of a client that says nothing for `idle_seconds` is rolled back.
    """
    journal = Journal()
    store = StoredSnowflake(directory.absolute(), threads)
    fakesnow.server.shared_fs = store
    buckets = Buckets(directory.absolute() / "_buckets")
    late, scripted = LateStatements(), ScriptedErrors()
    install(journal, idle_seconds, buckets, late, scripted)
    app: Starlette = fakesnow.server.app
    app.router.routes.extend(_own_routes(store, journal, buckets, late, scripted))
    return app


def _own_routes(
    store: StoredSnowflake, journal: Journal, buckets: Buckets, late: LateStatements, scripted: ScriptedErrors
) -> list[Route]:
    def stats(request: Request) -> JSONResponse:
        after, containing = request.query_params.get("after", 0), request.query_params.get("containing", "")
        return JSONResponse(journal.report(len(fakesnow.server.sessions), int(after), containing))

    def create(request: Request) -> JSONResponse:
        store.create_database(request.path_params["name"])
        return JSONResponse({})

    def drop(request: Request) -> JSONResponse:
        store.drop_database(request.path_params["name"])
        return JSONResponse({})

    async def read_buckets_at(request: Request) -> JSONResponse:
        buckets.endpoint = (await request.body()).decode() or None
        return JSONResponse({})

    def hide(request: Request) -> JSONResponse:
        change = hidden.add if request.method == "PUT" else hidden.discard
        change(request.path_params["name"])
        return JSONResponse({})

    async def hold(request: Request) -> JSONResponse:
        late.wanted = (await request.body()).decode() or None
        return JSONResponse({})

    async def asked(_: Request) -> JSONResponse:
        return JSONResponse({"asked": late.asked})

    async def release(_: Request) -> JSONResponse:
        late.wanted = None
        return JSONResponse({"released": late.release()})

    async def script(request: Request) -> JSONResponse:
        scripted.set(await request.json())
        return JSONResponse({})

    return [
        Route("/pgsnow/held", hold, methods=["PUT"]),
        Route("/pgsnow/held", asked, methods=["GET"]),
        Route("/pgsnow/held", release, methods=["DELETE"]),
        Route("/pgsnow/stats", stats),
        Route("/pgsnow/databases/{name}", create, methods=["PUT"]),
        Route("/pgsnow/databases/{name}", drop, methods=["DELETE"]),
        Route("/pgsnow/s3", read_buckets_at, methods=["PUT"]),
        Route("/pgsnow/hidden/{name}", hide, methods=["PUT", "DELETE"]),
        Route("/pgsnow/expired", _expired, methods=["PUT"]),
        Route("/pgsnow/errors", script, methods=["PUT"]),
    ]


async def _expired(request: Request) -> JSONResponse:
    asked = await request.json()
    return JSONResponse({"expired": expire(asked["database"], asked["what"])})
