"""`pgsnow explain`."""

from __future__ import annotations

import posixpath
import re
import sys
from typing import Annotated

import typer

from pgsnow.cli.output.screen import stdout
from pgsnow.model.errors import ConfigError

WIDTH = 100
"""Longest line of text on a wide terminal."""
_LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^]]*)\]\((?P<to>[^)\s]+)\)")


def explain(
    topic: Annotated[
        list[str] | None,
        typer.Argument(metavar="TOPIC", help="Page, page#section, term, key, variable, status or error."),
    ] = None,
) -> None:
    """Show what the documentation says about a topic; without a topic, list its pages."""
    from pgsnow.cli.commands.explain.topics import explanation, suggestions

    if not topic:
        _show(_contents())
        return
    name = " ".join(topic)
    found = explanation(name)
    if found is None:
        close = ", ".join(suggestions(name))
        raise ConfigError(
            f"the documentation has no topic {name!r}",
            advice=f"Did you mean one of these? {close}" if close else "`pgsnow explain` lists the pages.",
        )
    _show(found, page=name.partition("#")[0])


def _contents() -> str:
    """The pages by groups, and other things that can be asked for."""
    from pgsnow.cli.commands.explain.pages import listed

    lines: list[str] = []
    group = ""
    for entry in listed():
        if entry.group != group:
            lines += ["", f"## {entry.group}", ""]
            group = entry.group
        lines.append(f"- **{entry.page}**: {_LINK.sub(_text, entry.about)}")
    others = (
        "a section (`settings#snowflake`), a term (`lease`), a key of sync_config.yaml (`late_rows`), a variable"
        " (`POSTGRES_DSN`), a status (`backing-off`), a column of the ledger (`applied_until`), an error"
        " (`TargetConflict`), a decision (`decision 7`)"
    )
    return "\n".join([*lines[1:], "", f"`pgsnow explain TOPIC` shows a page, or {others}."])


def _show(markdown: str, *, page: str = "") -> None:
    """Markdown as it is in a pipe; on a terminal formatted, with the topics that it links to at the end."""
    if not sys.stdout.isatty():
        sys.stdout.write(markdown + "\n")
        return
    from rich.markdown import Markdown

    console = stdout()
    console.width = min(console.width, WIDTH)
    console.print(Markdown(_LINK.sub(_without_target, markdown)))
    if topics := linked_topics(markdown, page):
        console.print(f"\nMore: {', '.join(f'pgsnow explain {topic}' for topic in topics)}", soft_wrap=False)


def _text(link: re.Match[str]) -> str:
    return link["text"]


def _without_target(link: re.Match[str]) -> str:
    if link["image"]:
        return f"({link['text']})"
    return link[0] if "://" in link["to"] else link["text"]


def linked_topics(markdown: str, page: str, limit: int = 5) -> list[str]:
    """The first topics that pages link to, as arguments of the command."""
    found: list[str] = []
    for link in _LINK.finditer(markdown):
        to, sign, anchor = link["to"].partition("#")
        if link["image"] or "://" in to or (to and not to.endswith(".md")):
            continue
        name = posixpath.basename(to).removesuffix(".md") or page
        if name and f"{name}{sign}{anchor}" not in found and name.lower() not in {"readme", "contributing"}:
            found.append(f"{name}{sign}{anchor}")
    return found[:limit]
