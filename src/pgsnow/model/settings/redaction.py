"""Text for logs with the secrets taken out: known values first, then whatever has the form of a credential."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote, urlsplit

from pgsnow.model.settings.dsn import parse_dsn
from pgsnow.model.settings.secret import Secret

MASK = "***"
SHORTEST = 4
"""Characters. A shorter value is masked only where its form shows what it is: it may be part of any word."""
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
"""A traceback's line that names a file. A password may be part of a path, and the path is no secret."""


def redacted(text: str, secrets: Iterable[Secret] = ()) -> str:
    """`text` with `***` for each of `secrets`, as it is or escaped, and for every credential known by its form."""
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
    """How a secret may be written in a message: each line of it as it is, percent-encoded, or with escapes."""
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
