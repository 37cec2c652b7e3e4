"""Hooks of mkdocs.yml: the navigation is the list in docs/index.md, and the site has the pages outside docs/, too."""

from __future__ import annotations

import html
import posixpath
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
OUTSIDE = "project"
"""Folder of the site for files that are not in docs/."""

_HEADING = re.compile(r"^\| (?P<title>[^|\[]+) \| \|$")
_ENTRY = re.compile(r"^\| \[(?P<title>[^]]+)\]\((?P<path>[^)#]+)\) \|")
_LINK = re.compile(r"(?P<before>\]\()(?P<path>(?!\w+:|#)[^)#\s]+)(?P<after>[)#])")
_CODE = re.compile(r"`([^`]+)`")
_WHOLE_LINK = re.compile(r"\[(?P<text>[^]]+)\]\((?P<path>(?!\w+:|#)[^)#\s]+)\)")


def navigation(index: str) -> list[dict[str, Any]]:
    """The sections of docs/index.md with their pages, in the form of mkdocs's `nav`."""
    sections: list[dict[str, Any]] = [{"Overview": "index.md"}]
    for line in index.splitlines():
        if heading := _HEADING.match(line):
            sections.append({heading["title"]: []})
        elif entry := _ENTRY.match(line):
            next(iter(sections[-1].values())).append({entry["title"]: inside(entry["path"], "index.md")})
    return [_with_decisions(section) for section in sections]


def inside(path: str, page: str) -> str:
    """The address, from the root of the site, of a link of a page; files outside docs/ are in OUTSIDE."""
    joined = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), path))
    return joined.removeprefix("docs/") if joined.startswith("docs/") else f"{OUTSIDE}/{joined}"


def _with_decisions(section: dict[str, Any]) -> dict[str, Any]:
    """The section, where the list of decisions has the decisions below it."""
    [(title, entries)] = section.items()
    if not isinstance(entries, list):
        return section
    return {
        title: [_decisions(entry) if "decisions/README.md" in entry.values() else entry for entry in entries]
    }


def _decisions(entry: dict[str, str]) -> dict[str, Any]:
    [(title, page)] = entry.items()
    records = sorted(path.name for path in (DOCS / "decisions").glob("[0-9]*.md"))
    return {title: [page, *(f"decisions/{name}" for name in records)]}


def linked_outside() -> set[Path]:
    """Files outside docs/ to which a page of the site leads, directly or through another such file."""
    found: set[Path] = set()
    waiting = sorted(DOCS.rglob("*.md"))
    while waiting:
        page = waiting.pop()
        for match in _LINK.finditer(page.read_text()):
            file = (page.parent / match["path"]).resolve()
            if (
                file.is_file()
                and file.is_relative_to(ROOT)
                and not file.is_relative_to(DOCS)
                and file not in found
            ):
                found.add(file)
                waiting += [file] if file.suffix == ".md" else []
    return found


def on_config(config: Any) -> Any:
    """Sets the navigation."""
    config.nav = navigation((DOCS / "index.md").read_text())
    return config


def on_files(files: Any, config: Any) -> Any:
    """Adds the files outside docs/ that pages link to."""
    from mkdocs.structure.files import File

    for path in sorted(linked_outside()):
        name = f"{OUTSIDE}/{_in_site(path.relative_to(ROOT).as_posix())}"
        files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def _in_site(name: str) -> str:
    """Names that a web server or mkdocs would hide or refuse get another one."""
    return posixpath.join(*(f"_{part}" if part.startswith(".") else part for part in name.split("/")))


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Points each link to a file of the repository at that file in the site; a folder has no page, so its link
    becomes text."""
    del config, files
    source = page.file.src_uri
    origin = source.removeprefix(f"{OUTSIDE}/") if source.startswith(f"{OUTSIDE}/") else f"docs/{source}"

    def text_of_folder(match: re.Match[str]) -> str:
        folder = ROOT / posixpath.dirname(origin) / match["path"]
        return match["text"] if folder.is_dir() else match[0]

    def rewritten(match: re.Match[str]) -> str:
        joined = posixpath.normpath(posixpath.join(posixpath.dirname(origin), match["path"]))
        target = (
            joined.removeprefix("docs/") if joined.startswith("docs/") else f"{OUTSIDE}/{_in_site(joined)}"
        )
        return match["before"] + posixpath.relpath(target, posixpath.dirname(source) or ".") + match["after"]

    return for_python_markdown(_LINK.sub(rewritten, _WHOLE_LINK.sub(text_of_folder, markdown)))


def for_python_markdown(text: str) -> str:
    """The page in the dialect of mkdocs, where it differs from GitHub's: what continues an item of a numbered
    list has four blanks before it, and `\\|` in the code of a table would be shown with the backslash."""
    lines = [re.sub(r"^ {3}(?=\S)", "    ", line) for line in text.split("\n")]
    return "\n".join(_CODE.sub(_without_backslash, line) if line.startswith("|") else line for line in lines)


def _without_backslash(code: re.Match[str]) -> str:
    if "\\|" not in code[1]:
        return code[0]
    return f"<code>{html.escape(code[1].replace(chr(92) + '|', '|')).replace('|', '&#124;')}</code>"
