"""The status pages over HTTP: what they say in each state, what they weigh, and where their addresses lead."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.testclient import TestClient

from pgsnow.embedded.postgres import EmbeddedPostgres
from pgsnow.integrations.fastapi.rendering import static_files
from tests.browser.states import routers_in

STATES = ("day", "well", "stopped", "empty", "many", "broken", "wrong")


@pytest.fixture(scope="module")
def routers(
    postgres: EmbeddedPostgres, world_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, APIRouter]]:
    """A router for each state."""
    with routers_in(postgres, tmp_path_factory.mktemp("states"), *STATES, template=world_template) as made:
        yield made


@pytest.fixture(scope="module")
def client(routers: dict[str, APIRouter]) -> Iterator[TestClient]:
    """An application with all of them, each below the name of its state."""
    app = FastAPI()
    for name, router in routers.items():
        app.include_router(router, prefix=f"/{name}")
    with TestClient(app) as client:
        yield client


@pytest.mark.parametrize(
    ("state", "code", "word", "text"),
    [
        ("day", 200, "Failing", "public.invoices"),
        ("well", 200, "Fresh", "13 tables"),
        ("stopped", 200, "Stopped", "3.0 h"),
        ("empty", 200, "Not started", "<code>pgsnow run</code>"),
        ("many", 200, "Failing", "tenant_00.table_0007"),
        ("broken", 503, "The ledger cannot be read", "reachable"),
        ("wrong", 503, "The configuration is wrong", "did you mean watermark_column?"),
    ],
)
def test_one_word_and_a_sentence_tell_the_state(
    client: TestClient, state: str, code: int, word: str, text: str
) -> None:
    """The heading is one word for the whole, or the problem; below it stands the table concerned, or what to do."""
    answer = client.get(f"/{state}/sync/")
    assert answer.status_code == code
    heading = re.search("<h1[^>]*>(.*)</h1>", answer.text)
    assert heading is not None
    assert heading[1].endswith(f"</i>{word}")
    assert text in answer.text.partition("<main")[2].partition("</section>")[0]


def test_a_thousand_tables_come_in_pages(client: TestClient) -> None:
    """Fifty at a time, worst first; the filter searches all of them, and a page too far is the last one."""
    first = client.get("/many/sync/").text
    assert first.count("<tr id=") == 50
    assert "1–50 of 1,000 tables" in first
    assert 'rel="next" href="./?page=2"' in first
    assert first.count("</i>failed</span>") == 10
    assert "951–1,000 of 1,000 tables" in client.get("/many/sync/?page=99").text
    assert client.get("/many/sync/?q=TABLE_0999").text.count("<tr id=") == 1


def test_a_page_is_light(client: TestClient) -> None:
    """The style is below 8 KB and everything that a page loads below 120 KB, even without compression. A browser takes
    it compressed: 40 KB with fifty of a thousand tables, of which a refresh is 5 KB."""
    files = {name: content for name, content in static_files().items() if not name.startswith("LICENSE")}
    assert len(files["style.css"]) < 8000
    plain = client.get("/day/sync/", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert sum(map(len, files.values())) + len(plain.content) < 120_000
    lengths = {}
    for path in ("", *(f"static/{name}" for name in files)):
        answer = client.get(f"/many/sync/{path}", headers={"Accept-Encoding": "gzip"})
        assert answer.headers["content-encoding"] == "gzip"
        lengths[path] = int(answer.headers["content-length"])
    assert lengths[""] < 5000
    assert sum(lengths.values()) < 40_000


def test_an_unchanged_page_is_not_sent_again(client: TestClient) -> None:
    """A browser that says what it shows gets an empty 304, with the headers of a page."""
    tag = client.get("/day/sync/").headers["etag"]
    answer = client.get("/day/sync/", headers={"If-None-Match": tag})
    assert (answer.status_code, answer.content) == (304, b"")
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert client.get("/day/sync/?q=orders", headers={"If-None-Match": tag}).status_code == 200


def test_nothing_in_a_page_is_inline_or_comes_from_elsewhere(client: TestClient) -> None:
    """The content security policy admits files of this site alone, and the page needs nothing else."""
    for state in STATES:
        answer = client.get(f"/{state}/sync/")
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"
        assert not re.search(r"\sstyle=|\son\w+=|<style|<script>|https?://", answer.text)


def test_the_addresses_of_a_page_are_right_wherever_it_is(routers: dict[str, APIRouter]) -> None:
    """Under a prefix, in a mounted application, behind a proxy with root_path, and behind one that says nothing: every
    link and file of a page is found from where the browser is."""
    app, inner = FastAPI(), FastAPI()
    app.include_router(routers["day"])
    inner.include_router(routers["day"], prefix="/deep/down")
    app.mount("/mounted", inner)
    with TestClient(app) as direct, TestClient(app, root_path="/proxied") as proxied:
        for client, path in ((direct, "/sync/"), (direct, "/mounted/deep/down/sync/"), (proxied, "/sync/")):
            text = client.get(path).text
            found = {one.partition("?")[0] for one in re.findall(r'(?:href|src)="([^"]*)"', text)}
            tables = {address for address in found if "/tables/" in address}
            assert len(tables) == 15
            for address in {*found} - tables | {min(tables)}:
                assert client.get(urljoin(path, address)).status_code == 200, address
        assert direct.get("/sync").url.path == "/sync/"


def test_static_files_stay_in_the_browser(client: TestClient) -> None:
    """Their addresses change with their content, so the browser keeps them; another name is a page that says 404."""
    text = client.get("/day/sync/").text
    style = re.search(r'href="./(static/style.css\?v=\w+)"', text)
    assert style is not None
    answer = client.get(f"/day/sync/{style[1]}")
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-type"].startswith("text/css")
    for name in ("secret.txt", "..%2fpages.py", "%00"):
        missing = client.get(f"/day/sync/static/{name}")
        assert missing.status_code == 404
        assert "immutable" not in missing.headers.get("cache-control", "")


def test_pictures_of_the_page_are_small() -> None:
    """The pictures in the documentation are below 150 KB each."""
    folder = Path(__file__).parents[3] / "docs/images"
    assert all(file.stat().st_size < 150_000 for file in folder.glob("*.png"))
