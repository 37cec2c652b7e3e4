"""Templates of the pages, and the forms in which they show numbers, moments and durations."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

from pgsnow.model.errors import MissingExtra
from pgsnow.model.sentences import counted

try:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup, escape
except ImportError:
    raise MissingExtra("jinja2", "fastapi") from None

MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".txt": "text/plain"}
_QUOTED = re.compile(r"`([^`]+)`")
_AGE = re.compile(r"(<time [^>]*data-age[^>]*>)[^<]*")
_LAG = re.compile(r':\d\dZ" data-age="plain"')


def html_of(template: str, values: Mapping[str, Any]) -> str:
    """The page as text. Everything in it is escaped. A name that `values` lacks raises UndefinedError."""
    return _environment().get_template(template).render(values)


def tag_of(html: str) -> str:
    """Weak ETag of a page. It changes with the content of its <main>, but not with ages alone, which the browser counts
    itself. The moment from which a lag counts is compared to the minute: it is computed, and varies by milliseconds."""
    content = _LAG.sub("", _AGE.sub(r"\1", html.partition("<main")[2]))
    return f'W/"{hashlib.sha256(content.encode()).hexdigest()[:20]}"'


@cache
def static_files() -> dict[str, bytes]:
    """Content of every file of the pages (style, scripts, icon, licences) by its name."""
    folder = files("pgsnow.integrations.fastapi") / "static"
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


@cache
def version_of(name: str) -> str:
    """Short hash of a static file, so that a browser may keep it until it changes."""
    return hashlib.sha256(static_files()[name]).hexdigest()[:10]


def number(count: float | None) -> str:
    """`12,345`; from a million on three digits and a unit: `1.25 M`."""
    if count is None:
        return "–"
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if abs(count) >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:,.0f}"


def amount(count: int, noun: str, plural: str = "") -> str:
    """`1 row`, `12,345 rows`, `1.25 M rows`."""
    return f"{number(count)} {counted(count, noun, plural).partition(' ')[2]}"


def compact(count: float) -> str:
    """A count in at most five characters: `9,999`, `12.2k`, `962k`, `1.28M`."""
    if abs(count) < 10_000:
        return f"{count:,.0f}"
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(count) >= size * 0.9995:
            return f"{count / size:.0f}{unit}" if abs(count) >= 99.95 * size else f"{count / size:.3g}{unit}"
    return f"{count:,.0f}"


def decimal(amount: float | None) -> str:
    """An amount such as credits with at most three digits after the point: `0.025`, `1.2`, `14`."""
    if amount is None:
        return "–"
    return f"{amount:,.3f}".rstrip("0").rstrip(".") if amount < 100 else f"{amount:,.0f}"


def size(count: float | None) -> str:
    """Bytes in the largest fitting unit: `512 B`, `1.4 MB`."""
    if count is None:
        return "–"
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"


def duration(seconds: float | None) -> str:
    """A measured duration: `85 ms`, `1.24 s`, `12 s`, `3 min 5 s`, `2 h 5 min`."""
    if seconds is None:
        return "–"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    return age(seconds) if seconds >= 86400 else _two_units(round(seconds))


def age(seconds: float | None) -> str:
    """Time that has passed, in one whole unit: `12 s`, `3 min`, `5 h`, `4 d`. page.js counts on in the same form."""
    if seconds is None:
        return "–"
    left = max(0, int(seconds))
    if left < 120:
        return f"{left} s"
    if left < 7200:
        return f"{left // 60} min"
    return f"{left // 3600} h" if left < 172800 else f"{left // 86400} d"


def moment(at: datetime) -> str:
    """`2026-01-31 14:05:09 UTC`."""
    return f"{utc(at):%Y-%m-%d %H:%M:%S} UTC"


def utc(at: datetime) -> datetime:
    """The moment in UTC; one without a time zone is in UTC already."""
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


def iso(at: datetime) -> str:
    """The moment to the second, for the attribute `datetime`."""
    return f"{utc(at):%Y-%m-%dT%H:%M:%SZ}"


def prose(text: str) -> Markup:
    """A message with its `quoted` parts as code. Everything in it is escaped."""
    return Markup(_QUOTED.sub(r"<code>\1</code>", str(escape(text))))


def _two_units(seconds: int) -> str:
    big, small, names = (seconds, 60, ("min", "s")) if seconds < 3600 else (seconds // 60, 60, ("h", "min"))
    whole, rest = divmod(big, small)
    return f"{whole} {names[0]} {rest} {names[1]}" if rest else f"{whole} {names[0]}"


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("pgsnow.integrations.fastapi", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "number": number,
        "compact": compact,
        "decimal": decimal,
        "bytes": size,
        "duration": duration,
        "age": age,
        "moment": moment,
        "iso": iso,
        "utc": utc,
        "counted": amount,
        "prose": prose,
    }
    made.globals |= {"version_of": version_of}
    return made
