"""Postgres connection strings: parsing of both forms that libpq accepts, and writing.

Source: PostgreSQL docs, "Connection Strings".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote

_SCHEME = re.compile(r"postgres(?:ql)?(?:\+\w+)?://", re.IGNORECASE)
_PAIR = re.compile(
    r"\s*([A-Za-z_]+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)*))(?=\s|\Z)\s*", re.DOTALL
)


def parse_dsn(dsn: str) -> dict[str, str]:
    """Parameters by libpq's names. A driver in the scheme, as SQLAlchemy writes it (`postgresql+asyncpg://`), is
    ignored. Raises ValueError, without the text, if it has neither form."""
    scheme = _SCHEME.match(dsn.strip())
    return _from_uri(dsn.strip()[scheme.end() :]) if scheme else _from_pairs(dsn)


def _from_uri(rest: str) -> dict[str, str]:
    rest, _, query = rest.partition("?")
    authority, _, database = rest.partition("/")
    user_info, _, hosts = authority.rpartition("@")
    user, _, password = user_info.partition(":")
    names, ports = zip(*(_host_and_port(host) for host in hosts.split(",")), strict=True)
    found = {"host": ",".join(names), "user": user, "password": password, "dbname": database}
    if any(ports):
        found["port"] = ",".join(ports)
    parameters = {key: unquote(value) for key, value in found.items() if value.strip(",")}
    for pair in filter(None, query.split("&")):
        key, sign, value = pair.partition("=")
        if not sign:
            raise ValueError("a parameter has no value")
        parameters |= _parameter(unquote(key), unquote(value))
    return parameters


def _parameter(key: str, value: str) -> dict[str, str]:
    """For libpq `ssl=true` means `sslmode=require`; asyncpg writes the mode itself after `ssl=`."""
    if key == "ssl":
        return {"sslmode": "require" if value == "true" else value}
    return {key: value}


def _host_and_port(text: str) -> tuple[str, str]:
    if text.startswith("["):
        host, bracket, port = text[1:].partition("]")
        if not bracket:
            raise ValueError("an IPv6 address is not closed")
    else:
        host, _, port = text.partition(":")
    port = port.lstrip(":")
    if port and not port.isdigit():
        raise ValueError("a port is not a number")
    return host, port


def _from_pairs(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    while at < len(text.rstrip()):
        match = _PAIR.match(text, at)
        if match is None:
            raise ValueError("it is neither postgresql://… nor key=value pairs")
        key, quoted, bare = match.groups()
        found[key] = re.sub(r"\\(.)", r"\1", bare if quoted is None else quoted, flags=re.DOTALL)
        at = match.end()
    return found


def write_dsn(parameters: Mapping[str, str]) -> str:
    """The parameters as key='value' pairs, in the form that libpq reads."""
    return " ".join(f"{key}='{_escaped(value)}'" for key, value in parameters.items())


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")
