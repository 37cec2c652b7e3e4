"""The list of runs: every run once, newest first, a page at a time."""

from __future__ import annotations

import re

from fastapi.testclient import TestClient

from pgsnow.integrations.fastapi.router import status_router
from tests.browser.ledgers import Past, config_of, ledger_at, write
from tests.world import MemoryWorld

HREF = re.compile(r'href="([^"]*)"[^>]*>Older<')
RUN = re.compile(r'id="run-(\w+)-([^"]*)"')


def test_the_pages_of_the_list_hold_every_run_once(memory_world: MemoryWorld) -> None:
    """Two tables with 60 runs each are three pages; filters and bad positions are answered, too."""
    from fastapi import FastAPI

    dsn = memory_world.env["POSTGRES_DSN"]
    ledger = ledger_at(dsn)
    write(ledger, dsn, {"public.a": Past("oi" * 30), "public.b": Past("oe" * 30, error="no <b>")})
    ledger.close()
    app = FastAPI()
    app.include_router(status_router(config_of(["public.a", "public.b"]), settings=memory_world.settings))
    found: list[tuple[str, str]] = []
    with TestClient(app) as client:
        address: str | None = "runs"
        while address:
            html = client.get(f"/sync/{address}").text
            page = RUN.findall(html)
            assert 0 < len(page) <= 50
            found += page
            link = HREF.search(html)
            address = link and link[1].replace("&amp;", "&").removeprefix("./")
        errors = client.get("/sync/runs?table=public.b&status=error").text
        assert len(RUN.findall(errors)) == 30
        assert "no &lt;b&gt;" in errors
        assert "No run of this kind is kept" in client.get("/sync/runs?status=paused").text
        for bad in ("before=x", "before=nan~a~b", "before=9e99~a~b"):
            assert client.get(f"/sync/runs?{bad}").status_code == 404, bad
        assert client.get("/sync/runs?table=%00").status_code == 422
        assert client.get(f"/sync/rejected?before={10**30}").status_code == 422
    assert len(found) == len(set(found)) == 120
