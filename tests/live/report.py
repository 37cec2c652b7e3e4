"""What the suite prints: what it will cost, what differed, what it has cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import indent

from pgsnow.model.config.cost import CostConfig, WarehouseSize
from pgsnow.model.cost.warehouse import credits_of_wake
from pgsnow.snowflake.names import text
from pgsnow.snowflake.session import Session
from tests.live.contract import Answer

EXPECTED_SECONDS = 90
"""About 110 statements that need a warehouse, at 0.3 to 1 s each."""
MOST_CREDITS = 0.2


@dataclass(frozen=True, slots=True)
class Cost:
    """The warehouse that the suite uses. auto_suspend: seconds; 0: it never suspends itself."""

    warehouse: str
    size: WarehouseSize
    auto_suspend: float

    def credits(self, seconds: float) -> float:
        return credits_of_wake(seconds, self.size, self.auto_suspend)

    @property
    def estimate(self) -> str:
        return (
            f"Warehouse {self.warehouse} ({self.size}, AUTO_SUSPEND = {self.auto_suspend:.0f}): about"
            f" {EXPECTED_SECONDS} s of statements, {self.credits(EXPECTED_SECONDS):.3f} credits."
        )

    @property
    def refusal(self) -> str | None:
        """Why the suite would cost too much; None if it does not."""
        if not self.auto_suspend:
            return f"ALTER WAREHOUSE {self.warehouse} SET AUTO_SUSPEND = 30 first: it never suspends itself."
        if self.credits(EXPECTED_SECONDS) > MOST_CREDITS:
            return (
                f"That is more than {MOST_CREDITS} credits: use an X-SMALL warehouse with AUTO_SUSPEND = 30."
            )
        return None


def cost_of(session: Session, warehouse: str) -> Cost:
    """The warehouse as SHOW WAREHOUSES describes it, which does not start it; X-SMALL and 60 s if it does not."""
    shown = session.execute(f"SHOW WAREHOUSES LIKE {text(warehouse)}")
    for name, size, suspend in zip(
        shown.column("name"), shown.column("size"), shown.column("auto_suspend"), strict=True
    ):
        if name == warehouse:
            known = CostConfig.model_validate({"warehouse_size": size}).warehouse_size
            return Cost(warehouse, known, float(suspend or 0))
    return Cost(warehouse, WarehouseSize.XSMALL, 60.0)


def written(answers: Sequence[Answer], cost: Cost) -> str:
    """The report: each case that was not answered as expected, then the numbers."""
    lines = [_difference(each) for each in answers if not each.as_expected]
    seconds = sum(each.seconds for each in answers)
    lines.append(
        f"{len(answers)} cases, {len(lines)} differ. {seconds:.1f} s of statements that need a warehouse:"
        f" about {cost.credits(seconds):.3f} credits."
    )
    return "\n".join(lines)


def _difference(answer: Answer) -> str:
    case = answer.case
    shown = f"Snowflake docs, {case.page}\nexpected: {case.expected!r}\nfound:    {answer.found!r}"
    if case.emulator is not None:
        shown += f"\nemulator: {case.emulator!r}"
    return f"DIFFERS  {case.promise}\n{indent(shown, '         ')}\n"
