"""The documentation as a site: `make docs` builds it without a warning, and it needs no other server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.project.markdown import ROOT, pages

LOADED = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*\bsrc="(?:\w+:)?//|<link\b[^>]*\brel="(?:stylesheet|preload|icon)"[^>]*"""
    r"""\bhref="(?:\w+:)?//"""
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built in strict mode: a broken link, a missing anchor or a page without a place fails."""
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


def html_of(site: Path) -> dict[str, str]:
    return {path.relative_to(site).as_posix(): path.read_text() for path in site.rglob("*.html")}


def test_every_page_is_in_the_site_and_in_its_navigation(site: Path) -> None:
    html = html_of(site)
    docs = [page.relative_to(ROOT / "docs") for page in pages() if page.is_relative_to(ROOT / "docs")]
    names = [page.as_posix().replace("README.md", "index.md").removesuffix(".md") + ".html" for page in docs]
    assert [name for name in names if name not in html] == []
    linked = set(re.findall(r'<a href="([^"#]+)" class="md-nav__link', html["index.html"])) | {"index.html"}
    assert [name for name in names if name not in linked] == []


def test_no_page_loads_anything_from_another_server(site: Path) -> None:
    """No fonts, scripts, styles or images: it can be read in a network without a way out."""
    assert {name for name, text in html_of(site).items() if LOADED.search(text)} == set()


def test_code_in_tables_is_shown_as_it_is_written(site: Path) -> None:
    """The dialect of the site has other rules than GitHub's for a bar in the cell of a table."""
    assert [
        name for name, text in html_of(site).items() if re.search(r"<td>[^\n]*<code>[^<]*\\\|", text)
    ] == []
    assert "--output table&#124;json&#124;jsonl" in html_of(site)["cli.html"]
