"""The forms of the status page: who may send them, what they ask for, and where they lead back to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import Depends, FastAPI, Request
from fastapi.testclient import TestClient

from pgsnow.integrations.fastapi.router import status_router
from pgsnow.ledger.ledger import Ledger
from pgsnow.ledger.requests.requests import RequestAction
from pgsnow.model.config.sync_config import parse_config
from tests.world import MemoryWorld

NAMES = ("public.users", "odd/näme ?#%", "../up")
ENTRIES = [
    {
        "name": name,
        "source": f"public.t{n}",
        "target": f"a.t{n}",
        "pk": "id",
        "watermark_column": "updated_at",
    }
    for n, name in enumerate(NAMES)
]


class _Ada:
    display_name = "Ada"


def _sign_in(request: Request) -> None:
    """As Starlette's AuthenticationMiddleware does."""
    request.scope["user"] = _Ada()


@pytest.fixture
def client(memory_world: MemoryWorld) -> Iterator[TestClient]:
    """The pages below a prefix of the application, with actions."""
    config = parse_config({"tables": ENTRIES}, file="sync_config.yaml", env={})
    app = FastAPI()
    router = status_router(
        config,
        settings=memory_world.settings,
        dependencies=[Depends(_sign_in)],
        actions=True,
        prefix="/data/sync",
    )
    app.include_router(router, prefix="/internal")
    with TestClient(app, root_path="/app") as client:
        yield client


@pytest.fixture
def ledger(memory_world: MemoryWorld) -> Iterator[Ledger]:
    made = Ledger(memory_world.settings.ledger, "public")
    yield made
    made.close()


def send(client: TestClient, headers: dict[str, str] | None = None, **fields: Any) -> Any:
    return client.post("/internal/data/sync/actions", data=fields, headers=headers, follow_redirects=False)


@pytest.mark.parametrize("name", NAMES)
def test_an_action_leads_back_to_the_page_of_its_table(client: TestClient, ledger: Ledger, name: str) -> None:
    """Whatever the table's name contains, below any prefix: the address that the answer gives is that page."""
    answer = send(client, action="run", table=name)
    assert answer.status_code == 303
    page = client.get(str(answer.url.join(answer.headers["location"])))
    assert page.status_code == 200
    assert "The next tick of a worker takes it." in page.text
    [request] = ledger.requests.open()
    assert (request.source_table, request.action, request.requested_by) == (name, RequestAction.RUN, "Ada")


def test_asking_twice_is_asking_once(client: TestClient, ledger: Ledger) -> None:
    """A double click, or a reload that sends the form again, makes no second request."""
    for _ in range(3):
        assert send(client, action="resync", table="public.users").status_code == 303
    assert len(ledger.requests.open()) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Referer": "https://evil.example/page"},
    ],
)
def test_a_form_of_another_site_is_refused(
    client: TestClient, ledger: Ledger, headers: dict[str, str]
) -> None:
    """It is answered with 403 and a page that says so, and nothing is asked for."""
    answer = send(client, headers, action="run", table="public.users")
    assert answer.status_code == 403
    assert "was not sent by a page of this site" in answer.text
    assert ledger.requests.listed() == []


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"action": "run", "table": "public.nobody"}, 404),
        ({"action": "pause"}, 404),
        ({"action": "drop", "table": "public.users"}, 403),
        ({"action": "replay", "table": "public.users", "id": "1 or 1=1"}, 403),
        ({"action": "dismiss", "table": "public.users", "id": "9" * 30}, 403),
        ({}, 403),
    ],
)
def test_fields_that_no_form_has_ask_for_nothing(
    client: TestClient, ledger: Ledger, fields: dict[str, Any], code: int
) -> None:
    answer = send(client, **fields)
    assert answer.status_code == code
    assert "Traceback" not in answer.text
    assert ledger.requests.listed() == []


def test_rows_are_replayed_by_number_and_lead_back_to_the_list(client: TestClient, ledger: Ledger) -> None:
    answer = send(client, action="replay", table="public.users", id=["12", "7", "12"], view="rejected")
    assert answer.headers["location"].endswith("rejected?table=public.users")
    [request] = ledger.requests.open()
    assert request.arguments == {"ids": [7, 12]}


def test_a_reason_is_cut_and_kept_as_text(client: TestClient, ledger: Ledger) -> None:
    """A pause holds at once; its reason is shown as it was typed, whatever it contains."""
    send(client, action="pause", table="public.users", reason=" <script>alert(1)</script> " + "x" * 500)
    [request] = ledger.requests.listed()
    assert request.arguments["reason"].startswith("<script>")
    assert len(request.arguments["reason"]) == 200
    page = client.get("/internal/data/sync/tables/public.users").text
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page
