"""docs/cli.md is complete."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from pgsnow.cli.app import app_of

DOCS = (Path(__file__).parents[3] / "docs" / "cli.md").read_text()


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


ALL = dict(commands(typer.main.get_command(app_of([]))))


def synopsis(name: str) -> str:
    [line] = re.findall(rf"^    (pgsnow {name}(?: .*)?)$", DOCS, re.MULTILINE)
    return str(line)


@pytest.mark.parametrize("name", ALL)
def test_every_command_has_a_synopsis_with_exactly_its_options(name: str) -> None:
    options = {o for p in ALL[name].params for o in p.opts if o.startswith("--") and o != "--help"}
    assert set(re.findall(r"--[a-z-]+", synopsis(name))) == options


@pytest.mark.parametrize("name", ALL)
def test_every_option_is_explained(name: str) -> None:
    prose = "\n".join(line for line in DOCS.splitlines() if not line.startswith("    pgsnow"))
    for parameter in ALL[name].params:
        assert parameter.help or parameter.name == "help", parameter.name
        for option in parameter.opts:
            if option.startswith("--"):
                assert f"`{option}" in prose, option


def test_the_shared_options_name_every_short_form() -> None:
    shorts = {o for c in ALL.values() for p in c.params for o in p.opts if re.fullmatch(r"-[a-z]", o)}
    assert {short for short in shorts if f"`{short}`" not in DOCS} == set()
