"""Changes are reported, states are not: when an incident begins, when it has ended, and little in between."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from pgsnow.ledger.alerts.alert import Alert, AlertRule, NoticeKind
from pgsnow.operations.alerts.finding import AlertFindings, Finding
from pgsnow.operations.alerts.transitions import (
    FIRST_HOLD,
    FORGET,
    JOIN,
    LONGEST_HOLD,
    IncidentChange,
    next_alerts,
)

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
RAISED, UPDATED, RECOVERED = NoticeKind.RAISED, NoticeKind.UPDATED, NoticeKind.RECOVERED


def failing(table: str, cause: str = "SourceUnavailable", *, shared: bool = False) -> Finding:
    return Finding(AlertRule.FAILING, table, cause, NOON, f"{cause} of {table}", "Fix it.", shared)


class Ledger:
    """The alerts as the ledger keeps them, and what was reported."""

    def __init__(self) -> None:
        self.alerts: dict[tuple[AlertRule, str], Alert] = {}
        self.now = NOON
        self._ids = count(1)
        self.reported: list[IncidentChange] = []

    def see(
        self,
        *findings: Finding,
        after: timedelta = 2 * MINUTE,
        unknown: frozenset[tuple[AlertRule, str]] = frozenset(),
    ) -> list[tuple[NoticeKind, list[str]]]:
        """One tick; the changes that it reports: their kinds and tables."""
        self.now += after
        changes = next_alerts(
            list(self.alerts.values()),
            AlertFindings(findings, unknown),
            self.now,
            lambda: f"i{next(self._ids)}",
        )
        self.alerts |= {alert.key: alert for alert in changes.saved}
        for alert in changes.gone:
            del self.alerts[alert.key]
        self.reported += changes.incidents
        return [(change.kind, sorted(a.table for a in change.alerts)) for change in changes.incidents]


def test_a_trouble_is_reported_once_when_it_begins_and_once_when_it_has_ended() -> None:
    """However many ticks it lasts."""
    ledger = Ledger()
    assert ledger.see(failing("a")) == [(RAISED, ["a"])]
    assert [ledger.see(failing("a")) for _ in range(50)] == [[]] * 50
    assert ledger.see() == [(RECOVERED, ["a"])]
    assert [ledger.see() for _ in range(5)] == [[]] * 5


def test_twenty_tables_behind_one_dead_connection_are_one_message_and_one_recovery() -> None:
    """Also where some of them fail a little later than the others."""
    ledger = Ledger()
    names = [f"t{n:02}" for n in range(20)]
    assert ledger.see(*(failing(name) for name in names[:12])) == [(RAISED, names[:12])]
    assert ledger.see(*map(failing, names)) == []
    assert ledger.see() == [(RECOVERED, names)]


def test_two_causes_are_two_messages() -> None:
    ledger = Ledger()
    assert ledger.see(failing("a"), failing("b", "TargetAccessDenied:no")) == [
        (RAISED, ["a"]),
        (RAISED, ["b"]),
    ]


def test_a_table_that_gets_the_same_trouble_hours_later_is_reported_unless_its_cause_is_the_connection() -> (
    None
):
    """Another table without a right is news; one more table of a server that is down is none."""
    for shared, reported in ((False, [(UPDATED, ["b"])]), (True, [])):
        ledger = Ledger()
        ledger.see(failing("a", shared=shared))
        assert ledger.see(failing("a"), failing("b", shared=shared), after=JOIN + MINUTE) == reported
        assert ledger.see() == [(RECOVERED, ["a", "b"])]


def test_an_incident_ends_when_its_last_table_has_recovered() -> None:
    ledger = Ledger()
    ledger.see(failing("a"), failing("b"))
    assert ledger.see(failing("b")) == []
    assert ledger.see() == [(RECOVERED, ["a", "b"])]


def test_a_table_that_fails_for_another_reason_leaves_its_incident() -> None:
    """The connection is back, and one table has a trouble of its own now: the first incident is over. As the causes of
    one table could alternate, the end of the second one is believed a little later."""
    ledger = Ledger()
    ledger.see(failing("a"), failing("b"))
    assert ledger.see(failing("b", "ColumnMissing:x")) == [(RECOVERED, ["a", "b"]), (RAISED, ["b"])]
    assert ledger.see() == []
    assert ledger.see(after=FIRST_HOLD) == [(RECOVERED, ["b"])]


def test_another_text_of_the_same_kind_of_error_is_no_change() -> None:
    """A message that has a time or a number in it differs at each tick."""
    ledger = Ledger()
    ledger.see(failing("a", "TargetQueryFailed:first"))
    assert [ledger.see(failing("a", f"TargetQueryFailed:{n}")) for n in range(5)] == [[]] * 5


def test_a_table_of_which_nothing_is_known_now_neither_fails_nor_recovers() -> None:
    """A person has paused it: that is no recovery."""
    ledger = Ledger()
    ledger.see(failing("a"))
    assert ledger.see(unknown=frozenset({(AlertRule.FAILING, "a")})) == []
    assert ledger.see() == [(RECOVERED, ["a"])]


def test_a_table_that_flaps_is_reported_ever_less_often() -> None:
    """Failing at every second tick for six hours: a handful of messages instead of 180."""
    ledger = Ledger()
    for tick in range(180):
        ledger.see(*([failing("a")] if tick % 2 else []))
    assert 2 <= len(ledger.reported) <= 4
    assert ledger.see(after=LONGEST_HOLD + MINUTE) in ([(RECOVERED, ["a"])], [])
    ledger.see(after=LONGEST_HOLD + MINUTE)
    assert (
        Counter(c.kind for c in ledger.reported)[RAISED]
        == Counter(c.kind for c in ledger.reported)[RECOVERED]
    )


def test_a_trouble_that_becomes_ten_times_as_bad_is_reported_again() -> None:
    """One rejected row was reported; a thousand more are news, each order of magnitude once, and fewer are none."""
    ledger = Ledger()
    reported = [
        ledger.see(replace(failing("a"), level=level, text=f"{10**level} rows"))
        for level in (0, 0, 2, 1, 2, 3)
    ]
    assert reported == [[(RAISED, ["a"])], [], [(UPDATED, ["a"])], [], [], [(UPDATED, ["a"])]]
    assert [change.alerts[0].text for change in ledger.reported] == ["1 rows", "100 rows", "1000 rows"]
    assert ledger.see() == [(RECOVERED, ["a"])]


def test_rules_that_were_not_evaluated_keep_their_alerts() -> None:
    """The web process looks for stopped workers alone, and must not report that a failing table has recovered."""
    ledger = Ledger()
    ledger.see(failing("a"))
    changes = next_alerts(list(ledger.alerts.values()), AlertFindings(()), NOON, str, [AlertRule.STOPPED])
    assert not changes


CAUSES = st.sampled_from(["SourceUnavailable", "TargetAccessDenied:x", "TargetAccessDenied:y"])
TICKS = st.lists(
    st.tuples(st.dictionaries(st.sampled_from("abc"), CAUSES), st.integers(1, 90), st.booleans()), max_size=25
)


@given(TICKS)
def test_every_incident_that_is_reported_has_one_beginning_and_one_end(
    ticks: list[tuple[dict[str, str], int, bool]],
) -> None:
    """Whatever fails and recovers in whatever order: each id is raised once, then possibly updated, then recovered
    once, and a table that is in trouble is in an incident that was reported."""
    ledger = Ledger()
    for causes, minutes, shared in ticks:
        findings = [failing(table, cause, shared=shared) for table, cause in causes.items()]
        ledger.see(*findings, after=minutes * MINUTE)
        live = {alert.incident for alert in ledger.alerts.values() if alert.is_active}
        ended = {c.incident for c in ledger.reported if c.kind is RECOVERED}
        assert live == {c.incident for c in ledger.reported if c.kind is RAISED} - ended
        assert {f.key for f in findings} <= {alert.key for alert in ledger.alerts.values() if alert.is_active}
    for _ in range(3):
        ledger.see(after=LONGEST_HOLD)
    ledger.see(after=FORGET + MINUTE)
    assert ledger.alerts == {}
    by_id: dict[str, list[NoticeKind]] = {}
    for change in ledger.reported:
        by_id.setdefault(change.incident, []).append(change.kind)
    for kinds in by_id.values():
        assert (kinds[0], kinds[-1]) == (RAISED, RECOVERED)
        assert set(kinds[1:-1]) <= {UPDATED}
