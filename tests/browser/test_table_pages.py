"""The pages of a table, its runs, its rejected rows and the setup in a real browser, over the ledger of a real sync."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from urllib.parse import urljoin

import pytest
import requests
from axe_playwright_python.sync_playwright import Axe
from fastapi import Depends
from playwright.sync_api import Browser, Page, expect

from pgsnow.embedded.postgres import EmbeddedPostgres
from pgsnow.integrations.fastapi.router import status_router
from tests.browser.served import served
from tests.browser.synced import synced_world, tick
from tests.world import MemoryWorld

LINK = re.compile(r'<a\b[^>]* href="([^"]*)"')
USERS, ORDERS, GONE, NEW = (f"tables/public.{name}" for name in ("users", "orders", "gone", "unread"))


@pytest.fixture(scope="module")
def world(
    postgres: EmbeddedPostgres, world_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MemoryWorld]:
    with synced_world(postgres, world_template, tmp_path_factory.mktemp("synced")) as world:
        yield world


@pytest.fixture(scope="module")
def site(world: MemoryWorld) -> Iterator[str]:
    """A server with the pages for a team that may act (/team/sync/), and for everyone (/all/sync/)."""
    team = status_router(world.config, settings=world.settings, dependencies=[Depends(_let_in)], actions=True)
    everyone = status_router(world.config, settings=world.settings)
    with served({"/team": team, "/all": everyone}) as address:
        yield address


@pytest.fixture(autouse=True)
def _nothing_asked(world: MemoryWorld) -> Iterator[None]:
    yield
    world.sql("delete from sync_requests")
    world.sql("update sync_watermarks set paused = false")


def _let_in() -> None:
    """A stand-in for the application's own authentication."""


def refreshed(page: Page) -> None:
    """What the page does every five seconds, now."""
    with page.expect_response(lambda response: response.request.headers.get("hx-request") == "true"):
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def a_run(world: MemoryWorld, table: str, status: str) -> str:
    [(run_id,)] = world.sql(
        f"select run_id from sync_logs where source_table = '{table}' and status = '{status}' limit 1"
    )
    return f"runs/{run_id}/{table}"


def test_everybody_can_use_every_page(page: Page, site: str, world: MemoryWorld) -> None:
    """axe finds nothing to complain about, on a phone in dark or on a desk in light, with every question of the actions
    open; nothing is wider than 360 pixels."""
    error = a_run(world, "public.gone", "error")
    for phone, path in (
        (True, USERS),
        (False, error),
        (True, "rejected?table=public.users"),
        (False, "setup"),
    ):
        page.set_viewport_size({"width": 360 if phone else 1280, "height": 800})
        page.emulate_media(color_scheme="dark" if phone else "light")
        page.goto(f"{site}/team/sync/{path}")
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true })")
        results = Axe().run(page)
        assert results.violations_count == 0, results.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth") <= (360 if phone else 1280), path


def test_every_link_of_every_page_leads_somewhere(site: str) -> None:
    """Each address that a page links to answers with a page, below the prefix of the router."""
    root = f"{site}/team/sync/"
    seen, left = set[str](), {root}
    with requests.Session() as session:
        while left:
            address = left.pop()
            seen.add(address)
            answer = session.get(address, timeout=60)
            assert answer.status_code == 200, address
            found = {urljoin(address, unescape(link)) for link in LINK.findall(answer.text)}
            assert all(link.startswith(root) for link in found), address
            left |= {link for link in found if "sort=" not in link and "state=" not in link} - seen
    assert {root + path for path in (USERS, GONE, NEW, "runs", "rejected", "setup")} <= seen
    assert sum("/runs/" in address for address in seen) >= 5


def test_a_page_without_news_is_not_sent_again(site: str, world: MemoryWorld) -> None:
    """A refresh is answered with 304 while nothing has changed, although time passes. (The lag's moment is known to the
    millisecond and shown to the second, so one answer in many differs.)"""
    with requests.Session() as session:
        for path in (USERS, a_run(world, "public.users", "ok"), "runs", "rejected", "setup"):
            codes: list[int] = []
            tag = ""
            while len(codes) < 4:
                answer = session.get(f"{site}/team/sync/{path}", headers={"If-None-Match": tag}, timeout=60)
                codes.append(answer.status_code)
                tag = answer.headers["ETag"]
            assert codes[0] == 200
            assert 304 in codes, path


def test_a_table_shows_its_history_over_an_hour_a_day_and_a_week(page: Page, site: str) -> None:
    """The charts follow the button, the address keeps the choice, and what is pointed at says its numbers."""
    page.goto(f"{site}/team/sync/{USERS}")
    expect(page.get_by_role("img", name="Rows of public.users")).to_be_visible()
    expect(page.get_by_role("img", name="Lag of public.users")).to_be_visible()
    for span in ("1h", "7d", "24h"):
        page.get_by_role("link", name=span, exact=True).click()
        expect(page).to_have_url(re.compile(f"span={span}"))
        expect(page.locator("#history .chip[aria-current]")).to_have_text(span)
        expect(page.locator("#rows .hit title").first).to_have_text(re.compile("40 inserted, 12 updated"))
    page.reload()
    expect(page.locator("#history .chip[aria-current]")).to_have_text("24h")


def test_a_table_shows_everything_that_the_ledger_knows(page: Page, site: str) -> None:
    """State with its reason, events, columns, checkpoint, configuration, and commands for the terminal."""
    page.goto(f"{site}/team/sync/{USERS}")
    main = page.locator("#live")
    for text in (
        "rows rejected",
        "column city text was added",
        "first read",
        "balance: NUMBER(12,2) cannot hold NaN",
        "watermark_column: updated_at",
        "pgsnow run --select public.users",
        "Never compared",
    ):
        expect(main).to_contain_text(text)
    expect(page.get_by_role("row", name="updated_at timestamp with time zone")).to_contain_text(
        "TIMESTAMP_TZ"
    )
    expect(page.locator(".facts")).to_contain_text("read up to transaction")
    page.goto(f"{site}/team/sync/{GONE}")
    expect(main).to_contain_text("Correct source: in sync_config.yaml")
    page.goto(f"{site}/team/sync/{NEW}")
    expect(main).to_contain_text("This table has not run yet")


def test_run_now_is_shown_until_a_worker_has_done_it(page: Page, site: str, world: MemoryWorld) -> None:
    """The button asks once; the page says that the request waits, then that it is done, with a link to the run. Nobody
    reloads the page."""
    page.goto(f"{site}/team/sync/{ORDERS}")
    page.get_by_role("button", name="Run now").click()
    asked = page.get_by_role("list", name="Requested actions")
    expect(asked).to_contain_text("waiting Run")
    expect(page.get_by_role("button", name="Run now")).to_have_count(0)
    tick(world)
    refreshed(page)
    expect(asked).to_contain_text("done Run")
    expect(page.get_by_role("button", name="Run now")).to_be_visible()
    asked.get_by_role("link", name="run").click()
    expect(page.locator("h1")).to_have_text("Run of public.orders")
    expect(page.locator(".tiles")).to_contain_text("Started byrequest")


def test_a_table_is_paused_with_a_reason_and_resumed(page: Page, site: str, world: MemoryWorld) -> None:
    """The pause holds at once, others see who paused it and why, and no run is granted until it is resumed."""
    page.goto(f"{site}/team/sync/{ORDERS}")
    page.get_by_text("Pause…").click()
    page.get_by_label("Reason").fill("import <until> 18:00")
    page.get_by_role("button", name="Pause this table").click()
    expect(page.locator(".whole")).to_contain_text("import <until> 18:00")
    assert world.sql("select paused from sync_watermarks where source_table = 'public.orders'") == [(True,)]
    expect(page.get_by_role("button", name="Run now")).to_have_count(0)
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("button", name="Run now")).to_be_visible()
    assert world.sql("select paused from sync_watermarks where source_table = 'public.orders'") == [(False,)]


def test_a_resync_asks_first(page: Page, site: str, world: MemoryWorld) -> None:
    """One click opens the question and asks for nothing; the question stays open while the page refreshes."""
    page.goto(f"{site}/team/sync/{ORDERS}")
    page.get_by_text("Resync…").click()
    refreshed(page)
    confirm = page.get_by_role("button", name="Read everything again")
    expect(confirm).to_be_visible()
    assert world.sql("select count(*) from sync_requests") == [(0,)]
    confirm.click()
    expect(page.get_by_role("list", name="Requested actions")).to_contain_text("Resync")
    assert world.sql("select action, source_table from sync_requests") == [("resync", "public.orders")]
    expect(page.get_by_text("Resync…")).to_have_count(0)


def test_rejected_rows_are_replayed_and_dismissed(page: Page, site: str, world: MemoryWorld) -> None:
    """A row is shown with its reason, its values and the settings that would admit it. One is replayed, then one is
    dismissed after a question, then the rest is replayed together. What a person has opened stays open."""
    page.goto(f"{site}/team/sync/rejected")
    rows = page.get_by_role("list", name="Rejected rows, newest first").locator("> li")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("balance: NUMBER(12,2) cannot hold NaN")
    expect(rows.first).to_contain_text("on_overflow: null")
    rows.first.get_by_text("The row", exact=True).click()
    expect(rows.first).to_contain_text("<b>Bo</b>")
    refreshed(page)
    expect(rows.first.get_by_text("<b>Bo</b>")).to_be_visible()
    rows.first.get_by_role("button", name="Replay row").click()
    expect(page.locator("#live")).to_contain_text("replay requested")
    page.get_by_role("link", name=re.compile("public.users 2")).click()
    rows.last.get_by_text("Dismiss…").click()
    rows.last.get_by_role("button", name="Dismiss row").click()
    expect(rows).to_have_count(1)
    page.get_by_role("link", name="dismissed").click()
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("id=41")
    page.goto(f"{site}/team/sync/{USERS}")
    page.get_by_role("button", name="Replay 1 rejected row").click()
    expect(page.get_by_role("list", name="Requested actions")).to_contain_text("Replay all rejected rows")
    world.sql("update sync_errors set state = 'open'")


def test_the_setup_shows_the_worst_first_with_its_fix(page: Page, site: str) -> None:
    page.goto(f"{site}/team/sync/setup")
    expect(page.locator("h1")).to_have_text("1 check failed")
    checks = page.get_by_role("list", name="Checks").locator("> li")
    expect(checks).to_have_count(3)
    expect(checks.first).to_contain_text("Remove it from the table list.")
    expect(checks.last).to_contain_text("PostgreSQL 18.1")


def test_without_dependencies_nothing_can_be_changed_and_no_data_is_seen(
    page: Page, site: str, world: MemoryWorld
) -> None:
    """No button, no key, no value of a rejected row, no query id; and the form's address does not exist."""
    for path in (USERS, "rejected", a_run(world, "public.users", "ok")):
        page.goto(f"{site}/all/sync/{path}")
        expect(page.locator("#live form, #live button")).to_have_count(0)
        for secret in ("id=42", "<b>Bo</b>", "None is recorded"):
            expect(page.locator("#live")).not_to_contain_text(secret)
    assert page.request.post(f"{site}/all/sync/actions", form={"action": "run"}).status in (404, 405)


def test_the_actions_work_without_javascript(browser: Browser, site: str, world: MemoryWorld) -> None:
    """The form is sent and the table's page comes back with the request."""
    page = browser.new_page(java_script_enabled=False)
    page.goto(f"{site}/team/sync/{ORDERS}")
    page.get_by_role("button", name="Run now").click()
    expect(page).to_have_url(re.compile(f"{ORDERS}$"))
    expect(page.get_by_role("list", name="Requested actions")).to_contain_text("waiting Run")
    page.close()


def test_a_keyboard_reaches_the_actions(page: Page, site: str, world: MemoryWorld) -> None:
    """Tab leads to the buttons in their order, Enter presses them, and the focus can be seen."""
    page.goto(f"{site}/team/sync/{ORDERS}")
    page.get_by_role("link", name="Tables", exact=True).last.focus()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Run now")).to_be_focused()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Reason")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_label("Reason")).to_be_focused()
    page.keyboard.type("stock-taking")
    page.keyboard.press("Enter")
    expect(page.locator(".whole")).to_contain_text("stock-taking")
