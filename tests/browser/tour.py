"""Pictures of the pages in every state they are designed for: python -m tests.browser.tour FOLDER"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser

from pgsnow.embedded.postgres import EmbeddedPostgres
from tests.browser.served import chromium, served
from tests.browser.states import STATES, routers_in
from tests.world import world_database

PAGES = {
    "day": ("", "tables/public.invoices", "runs", "rejected", "setup"),
    "story": ("tables/public.users",),
}
"""The pages of a state, if they are others than the overview."""


def main(folder: Path, only: tuple[str, ...]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as room:
        Path(room).chmod(0o711)
        with (
            EmbeddedPostgres(Path(room) / "postgres") as postgres,
            world_database(postgres) as template,
            routers_in(postgres, Path(room), *only, template=template) as routers,
            served({f"/{name}": router for name, router in routers.items()}) as address,
            chromium() as browser,
        ):
            for state in only:
                for path in PAGES.get(state, ("",)):
                    name = "-".join(filter(None, [state, path.replace("/", "-").partition("?")[0]]))
                    for scheme, width in (("light", 1366), ("dark", 1366), ("light", 360)):
                        file = folder / f"{name}-{'phone' if width == 360 else scheme}.png"
                        _shoot(browser, f"{address}/{state}/sync/{path}", file, scheme, width)


def _shoot(browser: Browser, address: str, file: Path, scheme: str, width: int) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 800},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    page = context.new_page()
    page.goto(address)
    page.wait_for_load_state("networkidle")
    page.screenshot(path=file, full_page=width > 400)
    context.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), tuple(sys.argv[2:]) or tuple(STATES))
