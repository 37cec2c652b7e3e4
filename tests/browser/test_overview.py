"""The overview in a real browser, over ledgers in every state that it is designed for."""

from __future__ import annotations

import re
from collections.abc import Iterator

import psycopg
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Request, Response, Route, expect

from pgsnow.embedded.postgres import EmbeddedPostgres
from pgsnow.integrations.fastapi.rendering import age
from pgsnow.integrations.fastapi.router import status_router
from tests.browser.ledgers import Past, config_of, ledger_at, write
from tests.browser.served import served, settings_at
from tests.browser.states import routers_in
from tests.servers import own_database

REFRESH = "document.dispatchEvent(new Event('visibilitychange'))"
FOCUSED = "document.activeElement.getBoundingClientRect().top"
WATCH = """() => {
    window.changes = [];
    new MutationObserver((found) => {
        for (const one of found) {
            const row = (one.target.closest ? one.target : one.target.parentElement)?.closest("tr, .tiles, .whole");
            const inTime = (one.target.closest ? one.target : one.target.parentElement)?.closest("time");
            if (row && !inTime) window.changes.push(row.id || row.className);
        }
    }).observe(document.getElementById("live"),
        {subtree: true, childList: true, attributes: true, characterData: true});
}"""


@pytest.fixture(scope="module")
def address(
    postgres: EmbeddedPostgres, world_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of a server with a router for each of these states."""
    folder = tmp_path_factory.mktemp("states")
    with (
        routers_in(postgres, folder, "day", "wrong", template=world_template) as routers,
        served({f"/{name}": router for name, router in routers.items()}) as address,
    ):
        yield address


@pytest.fixture
def live(postgres: EmbeddedPostgres, world_template: str) -> Iterator[tuple[str, str]]:
    """A server over a ledger that the test changes: its address, and the DSN of the ledger."""
    with own_database(postgres, world_template) as dsn:
        ledger = ledger_at(dsn)
        names = [f"public.table_{n:02}" for n in range(30)]
        write(ledger, dsn, {name: Past("oi") for name in names})
        ledger.close()
        with served({"": status_router(config_of(names), settings=settings_at(dsn))}) as address:
            yield f"{address}/sync/", dsn


def is_refresh(response: Response) -> bool:
    return response.request.headers.get("hx-request") == "true"


def refresh(page: Page) -> int:
    """Let the page ask for itself, as it does every five seconds. The answer's status code."""
    with page.expect_response(is_refresh) as response:
        page.evaluate(REFRESH)
    return response.value.status


def test_everybody_can_use_the_page(page: Page, address: str) -> None:
    """axe finds nothing to complain about, in light, in dark, and on a phone; nothing is wider than 360 pixels."""
    for state, scheme, width in (
        ("day", "light", 1280),
        ("day", "dark", 360),
        ("wrong", "dark", 1280),
    ):
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        page.goto(f"{address}/{state}/sync/")
        results = Axe().run(page)
        assert results.violations_count == 0, results.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_every_link_of_the_overview_leads_somewhere(page: Page, address: str) -> None:
    """Each link is clicked (head, filters, headings, and one of the tables): each leads to a page with a heading."""
    page.goto(f"{address}/day/sync/")
    names = []
    for selector in ("nav a", ".brand", ".chip", "thead a", "tbody tr:first-child a"):
        for link in range(page.locator(f"#live {selector}, header {selector}").count()):
            found = page.locator(f"#live {selector}, header {selector}").nth(link)
            names.append(found.inner_text())
            leads_to = found.evaluate("link => link.href")
            found.click()
            # the address changes with the contents: a click is over when the page shows what the link promised
            expect(page).to_have_url(leads_to)
            expect(page.locator("h1"), f"after {names[-1]}").not_to_have_text("This page could not be made")
    assert len(names) == 4 + 1 + 9 + 6 + 1
    assert page.url.endswith("/tables/legacy.audit_trail")  # the only one in the last filter, `off`


def test_the_list_is_filtered_while_a_person_types(page: Page, address: str) -> None:
    """The tables follow what is typed, the field keeps focus and text, and the address shows the filter, so that it can
    be sent to a colleague. A state's button filters as well, and the two go together."""
    page.goto(f"{address}/day/sync/")
    page.locator("#q").press_sequentially("order")
    expect(page.locator("tbody tr")).to_have_count(2)
    expect(page.locator("#q")).to_be_focused()
    expect(page.locator("#q")).to_have_value("order")
    expect(page).to_have_url(re.compile(r"\?q=order"))
    page.reload()
    expect(page.locator("tbody tr")).to_have_count(2)
    page.locator("#q").fill("")
    expect(page.locator("tbody tr")).to_have_count(15)
    page.get_by_role("link", name="failed").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator(".chip[aria-current]")).to_contain_text("failed")
    page.locator("#q").press_sequentially("users")
    expect(page.locator("tbody")).to_contain_text("No table matches")
    page.get_by_role("link", name="Show all").click()
    expect(page.locator("tbody tr")).to_have_count(15)
    expect(page.locator("#q")).to_have_value("")


def test_a_refresh_never_ends_what_the_reader_has_asked_for(page: Page, address: str) -> None:
    """While a slow answer to a filter is under way, the page does not ask for itself, which would take its place."""
    page.goto(f"{address}/day/sync/")
    held: list[Route] = []
    page.route(re.compile("state=failed"), lambda route: held.append(route))
    page.get_by_role("link", name="failed").click()
    expect(page.locator(".htmx-request")).to_have_count(1)
    asked: list[str] = []

    def note(request: Request) -> None:
        asked.append(request.url)

    page.on("request", note)
    for _ in range(3):
        page.evaluate(REFRESH)
    page.remove_listener("request", note)
    assert asked == []
    held[0].continue_()
    expect(page.locator("tbody tr")).to_have_count(1)


def test_a_heading_sorts_and_a_second_click_turns_the_order(page: Page, address: str) -> None:
    """Lag sorts the table that is furthest behind to the top, and says so to a screen reader."""
    page.goto(f"{address}/day/sync/")
    heading = page.locator("thead th", has_text="Lag")
    heading.get_by_role("link").click()
    expect(heading).to_have_attribute("aria-sort", "descending")
    expect(page.locator("tbody th").first).to_contain_text("public.sessions")
    heading.get_by_role("link").click()
    expect(heading).to_have_attribute("aria-sort", "ascending")
    expect(page.locator("tbody th").last).to_contain_text("public.sessions")


def test_a_refresh_changes_only_the_row_that_changed(page: Page, live: tuple[str, str]) -> None:
    """After a run of one table, the browser touches that table's row alone. Focus, scroll position and selected text of
    the reader stay."""
    address, dsn = live
    page.set_viewport_size({"width": 1280, "height": 400})
    page.goto(address)
    page.get_by_role("link", name="public.table_20").focus()
    assert page.evaluate("scrollY") > 0
    place = page.evaluate(FOCUSED)
    page.evaluate("getSelection().selectAllChildren(document.querySelector('#t-public\\\\.table_21 .to'))")
    page.evaluate(WATCH)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "update sync_watermarks set last_status = 'ok' where source_table = 'public.table_05'"
        )
    refresh(page)
    expect(page.locator("#t-public\\.table_05 .state")).to_have_text("synced")
    expect(page.get_by_role("link", name="public.table_20")).to_be_focused()
    assert page.evaluate(FOCUSED) == pytest.approx(place, abs=1)
    assert set(page.evaluate("window.changes")) - {"whole", "tiles"} == {"t-public.table_05"}
    assert page.evaluate("getSelection().toString()") == "PROD.ANALYTICS.TABLE_21"


def test_the_page_asks_every_five_seconds_and_takes_only_what_is_new(
    page: Page, live: tuple[str, str]
) -> None:
    """It refreshes by itself. If nothing has changed, the server answers 304, and nothing is replaced."""
    page.goto(live[0])
    with page.expect_response(is_refresh) as by_itself:
        pass
    assert by_itself.value.status == 200
    page.evaluate(WATCH)
    codes = [refresh(page) for _ in range(3)]
    assert 304 in codes
    assert page.evaluate("window.changes") == []


def test_a_page_that_cannot_refresh_says_so(page: Page, live: tuple[str, str]) -> None:
    """Old figures never pass for new ones: when the server does not answer, answers an error of somebody else, or leads
    to a login, a notice says as of when the figures are, and they stay. It goes with the next answer."""
    page.goto(live[0])
    notice = page.locator("#contact")
    expect(notice).to_be_hidden()
    for code, text in ((0, "does not answer"), (502, "502"), (200, "session")):

        def answer(route: Route, code: int = code) -> None:
            if code:
                route.fulfill(status=code, body="<html><body>Log in</body></html>")
            else:
                route.abort()

        page.route(re.compile("/sync/$"), lambda route: answer(route))
        page.evaluate(REFRESH)
        expect(notice).to_contain_text(text)
        expect(notice).to_contain_text("as of")
        expect(page.locator("tbody tr")).to_have_count(30)
        page.unroute_all()
    page.evaluate(REFRESH)
    expect(notice).to_be_hidden()


def test_a_ledger_that_breaks_replaces_the_figures_until_it_is_back(
    page: Page, live: tuple[str, str]
) -> None:
    """An open page shows the problem instead of old figures, and the figures again when the ledger answers."""
    address, dsn = live
    page.goto(address)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("revoke all on schema public from public")
        connection.execute("alter table sync_watermarks rename to elsewhere")
        page.evaluate(REFRESH)
        expect(page.locator("h1")).to_have_text("The ledger cannot be read")
        connection.execute("alter table elsewhere rename to sync_watermarks")
        page.evaluate(REFRESH)
        expect(page.locator("tbody tr")).to_have_count(30)


def test_the_page_works_without_javascript(page: Page, address: str) -> None:
    """Everything is there, filters and headings work, and the browser reloads the page by itself."""
    session = page.context.new_cdp_session(page)
    session.send("Emulation.setScriptExecutionDisabled", {"value": True})
    page.goto(f"{address}/day/sync/")
    expect(page.locator("noscript meta[http-equiv=refresh]")).to_have_count(1)
    page.locator("#q").fill("order")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("tbody tr")).to_have_count(2)
    page.locator("thead").get_by_role("link", name="Lag").click()
    expect(page).to_have_url(re.compile("q=order&sort=lag"))
    expect(page.locator("tbody tr")).to_have_count(2)
    session.send("Emulation.setScriptExecutionDisabled", {"value": False})
    session.detach()


def test_a_keyboard_is_enough(page: Page, address: str) -> None:
    """The first Tab reaches a link past the head; what has the focus is outlined."""
    page.goto(f"{address}/day/sync/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.press("Tab")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_script_and_server_count_ages_alike(page: Page, address: str) -> None:
    """An age does not jump when the script counts it on."""
    page.goto(f"{address}/wrong/sync/")
    ages = [0, 5, 59, 119, 120, 3599, 7199, 7200, 90_000, 172_799, 172_800, 9_000_000]
    shown = page.evaluate(
        """(ages) => {
            const made = ages.map((one) => {
                const time = document.createElement("time");
                time.dataset.age = "plain";
                time.dateTime = new Date(Date.now() - one * 1000 - 100).toISOString();
                document.body.append(time);
                return time;
            });
            document.dispatchEvent(new Event("visibilitychange"));
            return made.map((time) => time.textContent);
        }""",
        ages,
    )
    assert shown == [age(one) for one in ages]


def test_a_message_of_a_server_stays_text(
    page: Page, postgres: EmbeddedPostgres, world_template: str
) -> None:
    """Markup in an error message or a table's name is shown as it is, and runs nothing."""
    with own_database(postgres, world_template) as dsn:
        ledger = ledger_at(dsn)
        name = 'public."<b>x</b>"'
        write(ledger, dsn, {name: Past("oe", error="<img src=x onerror=alert(1)>")})
        ledger.close()
        with served({"": status_router(config_of([name]), settings=settings_at(dsn))}) as address:
            page.goto(f"{address}/sync/")
            expect(page.locator(".line")).to_have_text("<img src=x onerror=alert(1)>")
            expect(page.locator("tbody img, tbody th b")).to_have_count(0)
