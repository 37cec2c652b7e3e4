"""Credits and their prices as text."""

from __future__ import annotations

from collections.abc import Iterator

from pgsnow.cli.output.sizes import bytes_text
from pgsnow.model.config.cost import CostConfig
from pgsnow.model.sentences import counted
from pgsnow.operations.cost.result import ASSUMED_BUSY, DayForecast


def credits_text(credits: float, cost: CostConfig | None = None) -> str:
    """Credits with two significant digits at least, and their price if one is set: `3.6 credits (11.16)`."""
    price = None if cost is None else cost.price_of(credits)
    return f"{number_text(credits)} credits" + ("" if price is None else f" ({price:.2f})")


def number_text(credits: float) -> str:
    """A number of credits, short: `12`, `3.6`, `0.12`, `0.0012`, `<0.0001`."""
    if credits <= 0:
        return "0"
    if credits < 0.0001:
        return "<0.0001"
    return f"{credits:.0f}" if credits >= 99.5 else f"{credits:.1f}" if credits >= 1 else f"{credits:.2g}"


def forecast_lines(forecast: DayForecast) -> Iterator[str]:
    """The forecast of a day of all tables, and of other settings; the first line is a sentence."""
    count, cost = len(forecast.tables), forecast.cost
    resumes = f"{counted(round(forecast.resumes), 'resume')} of the warehouse"
    yield (
        f"Forecast: about {credits_text(forecast.bill.credits, cost)} a day for {counted(count, 'table')}"
        f" together, {resumes}; {_basis(forecast)}"
    )
    if forecast.budget is not None and forecast.bill.compute > forecast.budget:
        yield (
            f"  the budget is {number_text(forecast.budget)} a day: some tables are loaded less often to keep it"
            " (`pgsnow status` shows which)"
        )
    for other in forecast.others:
        concerned = f" ({counted(other.tables, 'table')})" if 0 < other.tables < count else ""
        yield f"  with {other.setting}{concerned}: about {credits_text(other.credits, cost)}"
    if forecast.stored:
        price = "" if cost.storage_price is None else f" ({forecast.stored_price:.2f} a month)"
        size = bytes_text(round(forecast.stored))
        yield f"  replaced content that Time Travel and Fail-safe store: about {size}{price}"


def _basis(forecast: DayForecast) -> str:
    unknown = sum(not table.is_measured for table in forecast.tables.values())
    if not unknown:
        return "computed from the last seven days."
    guess = f"assumed to change in {ASSUMED_BUSY:.0%} of the ticks"
    if unknown == len(forecast.tables):
        return f"no table has a history yet, each is {guess}."
    return f"computed from the last seven days; {counted(unknown, 'table')} without history {guess}."
