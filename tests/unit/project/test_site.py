"""The documentation as a site: `make docs` builds it without a warning, and it needs no other server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.unit.project.markdown import ROOT, pages

LOADED = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*\bsrc="(?:\w+:)?//|<link\b[^>]*\brel="(?:stylesheet|preload|icon)"[^>]*"""
    r"""\bhref="(?:\w+:)?//"""
)


def built(folder: Path) -> dict[str, str]:
    """The pages of the site, built in strict mode: a broken link or a missing anchor fails."""
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*.html")}


def test_the_site_has_every_page_and_needs_no_other_server(tmp_path: Path) -> None:
    """Each page is in the navigation. None loads fonts, scripts, styles or images from elsewhere, so that the site can
    be read in a network without a way out. Code in the cells of tables is shown as it is written, although the site's
    dialect has other rules than GitHub's for a bar there."""
    html = built(tmp_path / "site")
    docs = [page.relative_to(ROOT / "docs") for page in pages() if page.is_relative_to(ROOT / "docs")]
    names = [page.as_posix().replace("README.md", "index.md").removesuffix(".md") + ".html" for page in docs]
    assert [name for name in names if name not in html] == []
    linked = set(re.findall(r'<a href="([^"#]+)" class="md-nav__link', html["index.html"])) | {"index.html"}
    assert [name for name in names if name not in linked] == []
    assert [name for name, text in html.items() if LOADED.search(text)] == []
    assert [name for name, text in html.items() if re.search(r"<td>[^\n]*<code>[^<]*\\\|", text)] == []
    assert "--output table&#124;json&#124;jsonl" in html["cli.html"]
