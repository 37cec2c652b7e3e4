"""Text of values in arrays that the COPY decoder made, also of those that Arrow cannot hold."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from pgsnow.postgres.sql import text_of_value

MICROSECONDS_A_DAY = 86_400_000_000
_EPOCH_MICROSECONDS = 946_684_800_000_000
"""2000-01-01, where Postgres counts from, since 1970-01-01, where Arrow does."""
_EPOCH_DAYS = 10_957
FIRST_DAY, LAST_DAY = -719_162, 2_932_896
"""0001-01-01 and 9999-12-31, the range of Snowflake's dates and timestamps, in days since 1970-01-01."""


def text_at(array: pa.Array, row: int) -> str | None:
    """The text of one value of an array that the COPY decoder made, where infinity has wrapped around; None
    for NULL. A byte that is in no encoding is shown as `\\xe9`."""
    if not array[row].is_valid:
        return None
    if pa.types.is_string(array.type):
        text: str = array[row].as_buffer().to_pybytes().decode("utf-8", "backslashreplace")
        return text
    if pa.types.is_timestamp(array.type):
        zone = "+00" if array.type.tz else ""
        return _text_of_moment(array.view(pa.int64())[row].as_py(), zone)
    if pa.types.is_date32(array.type):
        return _text_of_days(array.view(pa.int32())[row].as_py())
    if pa.types.is_time64(array.type):
        return _text_of_time(array.view(pa.int64())[row].as_py())
    return text_of_value(array[row].as_py())


def is_before_2000(array: pa.Array) -> pa.Array:
    """Booleans: which dates or timestamps of the COPY decoder lie before 2000-01-01, infinity included, or
    which times of day are negative (none should be). The subtraction overflows as the decoder's addition
    did."""
    whole, epoch = (
        (pa.int32(), _EPOCH_DAYS) if pa.types.is_date32(array.type) else (pa.int64(), _EPOCH_MICROSECONDS)
    )
    numbers = array.view(whole)
    if pa.types.is_time64(array.type):
        return pc.less(numbers, 0)
    return pc.less(pc.subtract(numbers, pa.scalar(epoch, whole)), 0)


def _text_of_moment(micros: int, zone: str) -> str:
    """The decoder adds the distance between the epochs and lets 64 bits overflow: subtracting it again, modulo 2^64,
    gives what Postgres sent. Its largest and smallest values are the infinities."""
    sent = _signed(micros - _EPOCH_MICROSECONDS, 64)
    if infinity := _infinity(sent, 64):
        return infinity
    days, rest = divmod(sent + _EPOCH_MICROSECONDS, MICROSECONDS_A_DAY)
    date, era = _civil(days)
    return f"{date} {_text_of_time(rest)}{zone}{era}"


def _text_of_days(days: int) -> str:
    sent = _signed(days - _EPOCH_DAYS, 32)
    return _infinity(sent, 32) or "".join(_civil(sent + _EPOCH_DAYS))


def _signed(value: int, bits: int) -> int:
    return (value + (1 << (bits - 1))) % (1 << bits) - (1 << (bits - 1))


def _infinity(sent: int, bits: int) -> str | None:
    largest = (1 << (bits - 1)) - 1
    return "infinity" if sent == largest else "-infinity" if sent == -largest - 1 else None


def _text_of_time(micros: int) -> str:
    seconds, fraction = divmod(micros, 1_000_000)
    text = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{text}.{fraction:06d}" if fraction else text


def _civil(days: int) -> tuple[str, str]:
    """The date of a day since 1970-01-01 in the Gregorian calendar of any year, and ' BC' if it is before year 1.

    http://howardhinnant.github.io/date_algorithms.html#civil_from_days
    """
    era, day_of_era = divmod(days + 719_468, 146_097)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month_from_march = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * month_from_march + 2) // 5 + 1
    month = month_from_march + 3 if month_from_march < 10 else month_from_march - 9
    year = year_of_era + era * 400 + (month <= 2)
    before_christ = year <= 0
    return f"{1 - year if before_christ else year:04d}-{month:02d}-{day:02d}", " BC" if before_christ else ""
