"""Masking of secrets in text for logs: known values first, then all text in the form of a credential."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote, urlsplit

from pgsnow.model.settings.dsn import parse_dsn
from pgsnow.model.settings.secret import Secret

MASK = "***"
SHORTEST = 4
"""Characters. A shorter value could be part of any word, so it is masked only in the form of a credential."""
_NAME = r"\w*(?:passw(?:or)?d|passphrase|pwd|secret|token|private_key|access_key|(?<![A-Za-z])pass(?![A-Za-z]))\w*"
_QUOTED = r"'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.)*\""
_FORMS = (
    re.compile(r"(-----BEGIN [^-]*PRIVATE KEY-----).*?(?=-----END|\Z)", re.DOTALL),
    re.compile(r"(://[^\s/@:'\"]*:)[^\s'\"]*(?=@)"),
    re.compile(rf"(\b{_NAME}\s*=\s*)(?:{_QUOTED}|[^\s,;&)\]}}'\"]+)", re.IGNORECASE),
    re.compile(rf"(['\"]{_NAME}['\"]\s*:\s*)(?:{_QUOTED})", re.IGNORECASE),
)
"""A private key, `://user:password@`, `password=…`, and `'password': '…'` as Python shows a dict."""
_SECRET_NAME = re.compile(r"PASS|PWD|SECRET|TOKEN|PRIVATE_KEY\Z|ACCESS_KEY|API_KEY|PAT\Z", re.IGNORECASE)
_NOT_A_SECRET = re.compile(r"(FILE|PATH|URL|URI)\Z", re.IGNORECASE)
_ADDRESS_NAME = re.compile(r"(DSN|URL|URI)\Z", re.IGNORECASE)
_FRAME = re.compile(r'[\s|+]*File ".*", line \d+')
"""A traceback's line that names a file. It is not masked: a password may equal a part of a path, which is no secret."""


def redacted(text: str, secrets: Iterable[Secret] = ()) -> str:
    """`text` with `***` for each of `secrets`, plain or escaped, and for everything in the form of a credential."""
    forms = sorted({form for secret in secrets for form in _forms(secret.reveal())}, key=len, reverse=True)
    if forms:
        known = re.compile("|".join(map(re.escape, forms)))
        text = "".join(
            line if _FRAME.match(line) else known.sub(MASK, line) for line in text.splitlines(keepends=True)
        )
    for form in _FORMS:
        text = form.sub(rf"\1{MASK}", text)
    return text


def secrets_in(env: Mapping[str, str]) -> tuple[Secret, ...]:
    """The values of the variables whose names say that they are secret, and the passwords in connection strings."""
    return tuple(Secret(value) for value in _secret_values(env))


def password_in(address: str) -> str:
    """The password of a connection string or URL; '' if there is none."""
    try:
        return parse_dsn(address).get("password") or ""
    except ValueError:
        pass
    try:
        return urlsplit(address).password or ""
    except ValueError:
        return ""


def _secret_values(env: Mapping[str, str]) -> Iterator[str]:
    for name, value in env.items():
        if _ADDRESS_NAME.search(name):
            yield password_in(value)
        elif _SECRET_NAME.search(name) and not _NOT_A_SECRET.search(name):
            yield value


def _forms(secret: str) -> Iterator[str]:
    """The forms in which a message may contain the secret: each of its lines plain, percent-encoded, or escaped."""
    for line in filter(None, map(str.strip, secret.replace("\\n", "\n").splitlines())):
        escaped = line.replace("\\", "\\\\")
        forms = (
            line,
            quote(line),
            quote(line, safe=""),
            escaped.replace("'", "\\'"),
            escaped.replace("'", "''"),
        )
        yield from (form for form in forms if len(form) >= SHORTEST)
