"""The template that `pgsnow init` leaves names what the settings need, and nothing that they do not know."""

from __future__ import annotations

from importlib.resources import files
from io import StringIO

from dotenv import dotenv_values

from pgsnow.model.settings.environment import VARIABLES
from pgsnow.model.settings.settings import Settings

TEMPLATE = dotenv_values(stream=StringIO((files("pgsnow.cli") / "env_example.txt").read_text("utf-8")))


def test_every_variable_is_one_that_is_read() -> None:
    assert TEMPLATE.keys() <= VARIABLES.keys()


def test_with_a_credential_filled_in_it_is_complete() -> None:
    filled = {name: value or "" for name, value in TEMPLATE.items()} | {"SNOWFLAKE_PAT": "filled in"}
    assert Settings.from_env(filled).snowflake.warehouse == "PGSNOW_WH"
