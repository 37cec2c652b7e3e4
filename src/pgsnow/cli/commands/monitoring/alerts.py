"""`pgsnow alerts`: the alerts that are open, and a test of the receivers."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pgsnow.cli.exits import ExitCode
from pgsnow.cli.invocation import Invocation, or_nothing
from pgsnow.cli.options import ConfigFile, Debug, EnvFile, Format, Output
from pgsnow.cli.output.log import quiet_log
from pgsnow.cli.output.screen import Shown, say, table_of, write_records
from pgsnow.model.errors import ConfigError
from pgsnow.model.sentences import counted

if TYPE_CHECKING:
    from pgsnow.integrations.notify.post import Answer
    from pgsnow.ledger.alerts.alert import Alert
    from pgsnow.model.config.alerts import AlertsConfig, Receiver

app = typer.Typer(help="Alerts: list those that are open, and test the receivers.", no_args_is_help=True)

OPEN = (
    Shown("rule", {"stopped": "bold red", "blocked": "red", "failing": "red", "different": "red"}),
    Shown("table"),
    Shown("since"),
    Shown("state", {"open": "yellow", "clearing": "green"}),
    Shown("reason"),
)
WAITING = (
    Shown("receiver"),
    Shown("attempts", right=True),
    Shown("next attempt"),
    Shown("problem"),
    Shown("message"),
)
RESULTS = (Shown("receiver"), Shown("kind"), Shown("result", {"accepted": "green", "failed": "bold red"}))
To = Annotated[list[str] | None, typer.Option("--to", metavar="NAME", help="Only this receiver. Repeatable.")]


@app.command("list")
def list_alerts(
    config: ConfigFile = None,
    env_file: EnvFile = None,
    output: Output = Format.TABLE,
    debug: Debug = False,
) -> None:
    """List the alerts that are open, and the messages that no receiver has accepted yet."""
    quiet_log(debug=debug)
    _, ledger = Invocation(config, env_file, output).ledger()
    try:
        alerts = [alert for alert in or_nothing(lambda: list(ledger.alerts.book().alerts)) if alert.is_active]
        waiting = or_nothing(ledger.alerts.waiting)
    finally:
        ledger.close()
    if output is not Format.TABLE:
        records = [{"type": "alert", **asdict(alert)} for alert in alerts]
        write_records(output, [*records, *({"type": "message", **row} for row in waiting)], table_of((), ()))
        return
    write_records(output, [asdict(alert) for alert in alerts], table_of(OPEN, [_row(a) for a in alerts]))
    say(f"{counted(len(alerts), 'alert')} open")
    if waiting:
        say(f"{counted(len(waiting), 'message')} not accepted:")
        write_records(output, waiting, table_of(WAITING, [_waiting_row(row) for row in waiting]))


@app.command("test")
def try_receivers(
    to: To = None,
    config: ConfigFile = None,
    output: Output = Format.TABLE,
    debug: Debug = False,
) -> None:
    """Send a test message to each receiver, and show which of them accepted it."""
    quiet_log(debug=debug)
    alerts = Invocation(config, None, output).config().alerts
    if alerts is None:
        raise ConfigError(
            "sync_config.yaml has no `alerts:`",
            advice="Name receivers, such as `alerts: {to: [{kind: slack, url: ${SLACK_URL}}]}`"
            " (`pgsnow explain alerts`).",
        )
    answers = [(receiver, _post(alerts, receiver)) for receiver in _chosen(alerts, to)]
    records = [
        {
            "receiver": receiver.name,
            "kind": receiver.kind.value,
            "accepted": a.ok,
            "problem": a.problem or None,
        }
        for receiver, a in answers
    ]
    rows = [
        (receiver.name, receiver.kind.value, "accepted" if a.ok else f"failed: it {a.problem}")
        for receiver, a in answers
    ]
    write_records(output, records, table_of(RESULTS, rows))
    failed = sum(not answer.ok for _, answer in answers)
    say(f"{counted(len(answers), 'message')} sent: {failed} failed")
    raise typer.Exit(ExitCode.SOME_FAILED if failed else ExitCode.OK)


def _chosen(alerts: AlertsConfig, names: list[str] | None) -> list[Receiver]:
    known = [receiver.name for receiver in alerts.to]
    if missing := sorted(set(names or ()) - set(known)):
        raise ConfigError(
            f"no receiver has the name {missing[0]!r}", advice=f"Receivers: {', '.join(known)}."
        )
    return [receiver for receiver in alerts.to if not names or receiver.name in names]


def _post(alerts: AlertsConfig, receiver: Receiver) -> Answer:
    """PagerDuty opens an incident for the test, which is resolved at once."""
    from pgsnow.integrations.notify.after_tick import this_process
    from pgsnow.integrations.notify.deliver import post_notice
    from pgsnow.ledger.alerts.alert import NoticeKind
    from pgsnow.model.config.alerts import ReceiverKind
    from pgsnow.operations.alerts.notices import trial_notice

    notice = trial_notice(datetime.now(UTC), worker=this_process(), page=alerts.page_url or "")
    answer = post_notice(receiver, notice)
    if answer.ok and receiver.kind is ReceiverKind.PAGERDUTY:
        return post_notice(receiver, replace(notice, kind=NoticeKind.RECOVERED))
    return answer


def _row(alert: Alert) -> tuple[object, ...]:
    return alert.rule.value, alert.table, _moment(alert.since), alert.state.value, alert.text


def _waiting_row(row: dict[str, Any]) -> tuple[object, ...]:
    due = "given up" if row["given_up"] else _moment(row["next_attempt_at"])
    return row["receiver"], row["attempts"], due, row["error"], row["title"]


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
