"""Which JSON a VARIANT holds exactly.

Numbers of at most 38 digits are kept as written; one with an exponent, or with more digits, becomes a double
(Snowflake docs, "PARSE_JSON"). Half of a surrogate pair, which Postgres's json lets through, is no text in UTF-8.
"""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any

MAX_DIGITS = 38
LONG_NUMBER = r"[0-9.]{39}"
SUSPECT = LONG_NUMBER + r"|(?:^|[\[:,\s])-?[0-9.]+[eE]|\\u[dD][89a-fA-F]"
"""A regular expression that every JSON text matches which a VARIANT does not hold; some others match too. (Before a
number that is not in a string comes one of a few characters. Text such as a uuid's `81e7` is no suspect.)"""


class _Misfit(Exception):
    """The reason."""


def misfit(text: str) -> str | None:
    """Why a VARIANT does not hold this JSON exactly; None if it does."""
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
    """True for a double's shortest text, and for its exact value; Postgres writes the one or, of whole numbers, the
    other."""
    number = float(text)
    try:
        return math.isfinite(number) and Decimal(text) in (Decimal(repr(number)), Decimal(number))
    except ArithmeticError:  # an exponent that not even Decimal has
        return False
