"""The configuration of alerts: when a message is sent, and to which receivers. Addresses and keys are secrets."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from pgsnow.model.config.field_types import Duration, FromOne, FromZero, Name, Switch, display

HIDDEN_URL = "https://***"
"""Stands for every address wherever the configuration is shown."""
PAGERDUTY_URL = "https://events.pagerduty.com/v2/enqueue"
"""https://developer.pagerduty.com/docs/send-alert-event"""


class ReceiverKind(StrEnum):
    """The form in which a receiver expects messages."""

    WEBHOOK = "webhook"
    SLACK = "slack"
    PAGERDUTY = "pagerduty"


def _secret(value: object) -> SecretStr:
    if isinstance(value, SecretStr):
        return value
    if not isinstance(value, str) or not value.strip():
        raise ValueError("is not text or is empty — write `${VAR}` and set that variable")
    if "\n" in value or "\r" in value or "\0" in value:
        raise ValueError("has a line break — write one line of text")
    return SecretStr(str(value))


def _url(value: object) -> SecretStr:
    """An http or https address. The messages do not contain it."""
    found = _secret(value)
    text = found.get_secret_value()
    try:
        parts = urlsplit(text)
        wrong = parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0
    except ValueError:
        wrong = True
    if wrong or not text.isprintable() or " " in text:
        raise ValueError("is not an address — write one that begins with https://, best as `${VAR}`")
    return found


def _kind(value: object) -> ReceiverKind:
    if isinstance(value, str) and str(value) in set(ReceiverKind):
        return ReceiverKind(str(value))
    raise ValueError(f"{display(value)} is not known — write {', '.join(ReceiverKind)}")


def _headers(value: object) -> dict[str, SecretStr]:
    if not isinstance(value, Mapping):
        raise ValueError("is not a mapping — write `{Authorization: ${VAR}}`")
    for key in value:
        if not isinstance(key, str) or not key.isascii() or not key.replace("-", "").isalnum():
            raise ValueError(f"{display(key)} is not the name of a header — write one such as Authorization")
    return {str(key): _secret(item) for key, item in value.items()}


_HIDE = PlainSerializer(lambda _: "***", when_used="json")
SecretText = Annotated[SecretStr, BeforeValidator(_secret), _HIDE, WithJsonSchema({"type": "string"})]
SecretUrl = Annotated[
    SecretStr,
    BeforeValidator(_url),
    PlainSerializer(lambda _: HIDDEN_URL, when_used="json"),
    WithJsonSchema({"type": "string"}),
]


class Receiver(BaseModel):
    """An address that gets every alert, and the form of its messages."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Annotated[ReceiverKind, BeforeValidator(_kind)] = ReceiverKind.WEBHOOK
    """Form of the messages: webhook (one JSON object), slack (an incoming webhook), or pagerduty (Events API v2)."""
    url: SecretUrl | None = None
    """Address that messages are posted to; for pagerduty only if it is not the one for all but Europe."""
    routing_key: SecretText | None = None
    """With pagerduty: the integration key of the service."""
    headers: Annotated[
        dict[str, SecretStr],
        BeforeValidator(_headers),
        PlainSerializer(lambda found: dict.fromkeys(found, "***"), when_used="json"),
        WithJsonSchema({"type": "object", "additionalProperties": {"type": "string"}}),
    ] = Field(default_factory=dict)
    """With webhook: headers that are sent too, such as Authorization."""
    name: Name = ""
    """Name in logs and in the ledger; unique. Default: its kind, with a number where several have that kind."""

    @model_validator(mode="after")
    def _is_complete(self) -> Receiver:
        if self.kind is ReceiverKind.PAGERDUTY:
            if self.routing_key is None:
                raise ValueError(
                    "pagerduty needs `routing_key:` — write the integration key of a service, best as `${VAR}`"
                )
        elif self.url is None:
            raise ValueError(f"{self.kind} needs `url:` — write the address that messages are posted to")
        elif self.routing_key is not None:
            raise ValueError("routing_key is for pagerduty alone — remove it, or write `kind: pagerduty`")
        if self.headers and self.kind is not ReceiverKind.WEBHOOK:
            raise ValueError("headers are for webhook alone — remove them")
        return self

    @property
    def address(self) -> str:
        """The address to post to: secret."""
        return PAGERDUTY_URL if self.url is None else self.url.get_secret_value()


class TableAlerts(BaseModel):
    """Thresholds of one table; a key that is not set has the value of `alerts:` at the top of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: Switch = True
    """false: there are no alerts about this table."""
    failures: FromOne | None = None
    """Runs in a row that end with an error before an alert is sent."""
    lag: Duration | None = None
    """Longest lag without an alert, in addition to `every` and `load_every`; 0: any lag is accepted."""
    blocked: Switch | None = None
    """Send an alert at the first error that does not pass without a person."""
    rejected: FromZero | None = None
    """Rejected rows that may be open without an alert."""
    differences: Switch | None = None
    """Send an alert when a comparison finds differences, or when the target is not verified after a restore."""


class AlertsConfig(BaseModel):
    """The section `alerts:`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    to: tuple[Receiver, ...]
    """Receivers of the alerts; every one gets all of them."""
    failures: FromOne = 3
    """Runs in a row that end with an error before an alert is sent."""
    lag: Duration = 3600.0
    """Longest lag without an alert, in addition to a table's `every` and `load_every`; 0: any lag is accepted."""
    blocked: Switch = True
    """Send an alert at the first error that does not pass without a person."""
    rejected: FromZero = 0
    """Rejected rows of a table that may be open without an alert."""
    differences: Switch = True
    """Send an alert when a comparison finds differences, or when the target is not verified after a restore."""
    stopped: Duration | None = None
    """Time without a tick after which the web process sends an alert; 0: never. Default: three intervals and 30 s."""
    page_url: Name | None = None
    """Address of the status page as people open it; messages link to it."""

    @field_validator("to", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        """Receivers with a name each: its own, or its kind."""
        if isinstance(value, Mapping):
            value = [value]
        if not isinstance(value, (list, tuple)) or not value:
            raise ValueError("names no receiver — write a list such as `- {kind: slack, url: ${SLACK_URL}}`")
        found: list[Any] = []
        taken = {
            item["name"] for item in value if isinstance(item, Mapping) and isinstance(item.get("name"), str)
        }
        for item in value:
            if isinstance(item, Mapping) and not item.get("name"):
                kind, number = str(item.get("kind", ReceiverKind.WEBHOOK)), 1
                while (name := kind if number == 1 else f"{kind}-{number}") in taken:
                    number += 1
                item = {**item, "name": name}
                taken.add(name)
            found.append(item)
        return found

    @field_validator("to")
    @classmethod
    def _distinct(cls, value: tuple[Receiver, ...]) -> tuple[Receiver, ...]:
        names = [receiver.name for receiver in value]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two receivers have the name {twice[0]} — rename one")
        return value

    def of(self, table: TableAlerts | None) -> TableAlerts:
        """The thresholds of a table whose entry has these."""
        given = table or TableAlerts()
        keys = ("failures", "lag", "blocked", "rejected", "differences")
        own = {key: getattr(given, key) for key in keys}
        chosen = {key: getattr(self, key) if value is None else value for key, value in own.items()}
        return given.model_copy(update=chosen)

    def seconds_without_tick(self, interval: float) -> float:
        """Seconds without a tick after which the sync counts as stopped; 0: never. interval: between two ticks."""
        return 3 * interval + 30 if self.stopped is None else self.stopped
