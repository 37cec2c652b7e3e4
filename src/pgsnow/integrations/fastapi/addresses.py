"""Addresses of pages relative to the router's root, for templates to write after `{{ base }}`."""

from __future__ import annotations

from urllib.parse import quote, urlencode


def table_address(name: str) -> str:
    """The page of a table. Its name may contain any character."""
    return f"tables/{quote(name, safe='')}"


def run_address(run_id: str, table: str) -> str:
    """The page of one table's run."""
    return f"runs/{quote(run_id, safe='')}/{quote(table, safe='')}"


def list_address(path: str, **parameters: object) -> str:
    """The page of a list with these parameters; those that are None or empty are left out."""
    given = urlencode({name: value for name, value in parameters.items() if value not in (None, "")})
    return f"{path}?{given}" if given else path
