"""Detection of JSON that a VARIANT cannot hold exactly.

Numbers of at most 38 digits are stored as written; one with an exponent, or with more digits, becomes a double
(Snowflake docs, "PARSE_JSON"). Half of a surrogate pair, which Postgres's json accepts, cannot be written in UTF-8.
"""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any

MAX_DIGITS = 38
LONG_NUMBER = r"[0-9.]{39}"
SUSPECT = LONG_NUMBER + r"|(?:^|[\[:,\s])-?[0-9.]+[eE]|\\u[dD][89a-fA-F]"
"""A regular expression that matches every JSON text that a VARIANT cannot hold, and some others. (Only certain
characters can precede a number outside of a string; text such as `81e7` in a uuid does not match.)"""


class _Misfit(Exception):
    """Raised with the reason."""


def misfit(text: str) -> str | None:
    """The reason why a VARIANT cannot hold this JSON exactly; None if it can."""
    try:
        value = json.loads(text, parse_int=_number, parse_float=_number)
        json.dumps(value, ensure_ascii=False).encode()
    except _Misfit as reason:
        return str(reason)
    except UnicodeEncodeError:
        return "VARIANT cannot hold half of a surrogate pair"
    except RecursionError:
        return "VARIANT cannot hold JSON that is nested this deeply"
    return None


def _number(text: str) -> Any:
    if not (_fixed(text) or _double(text)):
        shown = text if len(text) <= 60 else f"{text[:57]}…"
        raise _Misfit(f"VARIANT cannot hold the number {shown} exactly")
    return 0


def _fixed(text: str) -> bool:
    whole, _, fraction = text.lstrip("-").partition(".")
    return (
        (whole + fraction).isdigit()
        and len(whole.lstrip("0")) + len(fraction) <= MAX_DIGITS
        and len(fraction) < MAX_DIGITS
    )


def _double(text: str) -> bool:
    """True if the text is the shortest text of a double, or its exact value: Postgres writes either, the latter for
    whole numbers."""
    number = float(text)
    try:
        return math.isfinite(number) and Decimal(text) in (Decimal(repr(number)), Decimal(number))
    except ArithmeticError:  # an exponent beyond Decimal's range
        return False
