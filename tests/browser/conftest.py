"""One Chromium for all browser tests of a process, and a fresh page for each of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Error, Page

from tests.browser.served import CHROMIUM, chromium


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/browser/" in item.nodeid:
            item.add_marker(pytest.mark.browser)
            if not CHROMIUM:
                item.add_marker(pytest.mark.skip(reason="there is no chromium"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def _tab(browser: Browser) -> Iterator[Page]:
    """One tab for all tests: a new one is a new process, which costs a second of CPU time."""
    page = browser.new_page()
    yield page
    page.close()


@pytest.fixture
def page(_tab: Page) -> Iterator[Page]:
    """An empty page of 1280 pixels in light colours. A message in its console, such as of a refused script or style,
    or an error in a script fails the test."""
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        # the browser's and htmx's own notes of a request that failed
        if not message.text.startswith(("Failed to load resource", "htmx:")):
            complaints.append(message.text)

    def note_error(error: Error) -> None:
        complaints.append(str(error))

    _tab.set_viewport_size({"width": 1280, "height": 900})
    _tab.emulate_media(color_scheme="light")
    _tab.on("console", note)
    _tab.on("pageerror", note_error)
    yield _tab
    _tab.remove_listener("console", note)
    _tab.remove_listener("pageerror", note_error)
    _tab.unroute_all()
    _tab.goto("about:blank")
    assert complaints == []
