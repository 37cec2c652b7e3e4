"""The owner of a target: the ledger's table that may write it, and the source that it is filled from. Pure.

The owner is stored at the end of the target's comment, behind whatever a person has written there:

    Our customers [pgsnow-owner table=public.users database=app server=7391/1/16384 ledger=3f2a target=DB.A.USERS]

Values are percent-encoded, so the mark is ASCII without quotes and backslashes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import quote, unquote

from pgsnow.model.checkpoint import Checkpoint, Horizon

_MARK = re.compile(r" ?\[pgsnow-owner ((?:[a-z]+=[^\s\]]* ?)*)\]")
_PLAIN = "/.$@"
MOST_PLACES = 8


@dataclass(frozen=True, slots=True)
class SourceDatabase:
    """A source as its server describes it. What the role may not read is 0 or ''. system and timeline: as in
    ServerIdentity; a copy of a server keeps the first, and gets another one of the second when it is promoted."""

    name: str
    oid: int = 0
    system: str = ""
    timeline: int = 0

    @property
    def where(self) -> str:
        """`database app, oid 16384, of server 7391, timeline 1`, as far as it is known."""
        server = f" of server {self.system}, timeline {self.timeline}" if self.system else ""
        return f"database {self.name}, oid {self.oid},{server}" if server else f"database {self.name}"

    def may_be(self, other: SourceDatabase) -> bool:
        """True if nothing that is known of both tells them apart. A database may have been renamed."""
        mine, theirs = (self.oid, self.system, self.timeline), (other.oid, other.system, other.timeline)
        alike = all(a == b or not a or not b for a, b in zip(mine, theirs, strict=True))
        return alike and (self.name == other.name or self.is_known_as(other))

    def is_known_as(self, other: SourceDatabase) -> bool:
        """True if it is the same database of the same server, whatever its name."""
        return "" != self.system == other.system and self.oid == other.oid

    def was_read_up_to(self, checkpoint: Checkpoint | None) -> bool:
        """True if this very server and database gave the rows before the checkpoint."""
        if checkpoint is None or checkpoint.position is None:
            return False
        there = checkpoint.identity
        return (checkpoint.position.database, there.system_identifier, there.timeline) == (
            self.oid, self.system, self.timeline,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Owner:
    """ledger: its id, which it keeps wherever it is moved. table: the table's name in the ledger. target: the full name
    of the table whose comment it is; a clone has a copy of it."""

    ledger: str
    table: str
    source: SourceDatabase
    target: str

    def __str__(self) -> str:
        return f"{self.table} of database {self.source.name} (ledger {self.ledger[:8] or 'without an id'})"

    @property
    def mark(self) -> str:
        """The owner as the end of a comment."""
        source = self.source
        values = {
            "table": self.table,
            "database": source.name,
            "server": f"{source.system}/{source.timeline}/{source.oid}",
            "ledger": self.ledger,
            "target": self.target,
        }
        listed = " ".join(f"{name}={quote(value, safe=_PLAIN)}" for name, value in values.items())
        return f"[pgsnow-owner {listed}]"

    def added_to(self, comment: str) -> str:
        """The comment with this owner in place of any other; the text of a person stays."""
        text = _MARK.sub("", comment)
        return f"{text} {self.mark}" if text else self.mark


def owner_in(comment: str) -> Owner | None:
    """The owner that a comment names; None: it names none, or cannot be understood."""
    found = _MARK.findall(comment)
    if not found:
        return None
    values = {name: unquote(value) for name, _, value in (pair.partition("=") for pair in found[-1].split())}
    system, _, rest = values.get("server", "").partition("/")
    timeline, _, oid = rest.partition("/")
    try:
        source = SourceDatabase(values["database"], int(oid), system, int(timeline))
        return Owner(values["ledger"], values["table"], source, values["target"])
    except (KeyError, ValueError):
        return None


class Ownership(StrEnum):
    """Whether a run may write a target."""

    OURS = "ours"
    FREE = "free"
    """It has no owner yet, or its comment was copied from another table."""
    MOVED = "moved"
    """It is ours, and was filled from the same source on another server: a restore, a failover, an upgrade."""
    FOREIGN = "foreign"


def ownership(found: Owner | None, ours: Owner, *, stayed: bool) -> Ownership:
    """Whose a target is. stayed: the checkpoint shows that our source did not move since our last run; so if the
    target was filled from elsewhere in the meantime, a copy of our ledger and source did that."""
    if found is None:
        return Ownership.FREE
    if (found.ledger, found.table) != (ours.ledger, ours.table):
        return Ownership.FOREIGN if found.target == ours.target else Ownership.FREE
    if found.source.may_be(ours.source):
        return Ownership.OURS
    if stayed or not (found.source.name == ours.source.name or found.source.is_known_as(ours.source)):
        return Ownership.FOREIGN
    return Ownership.MOVED


@dataclass(frozen=True, slots=True)
class Place:
    """Use of a row of the ledger: a source database, and a target in an account of Snowflake. mark: the end of the
    target's comment, which names its owner, once it is there."""

    database: str
    oid: int
    system: str
    timeline: int
    account: str
    target: str
    mark: str = ""

    def __str__(self) -> str:
        return f"database {self.database} to {self.target}" + (f" ({self.account})" if self.account else "")

    def owner(self, ledger: str, table: str) -> Owner:
        """The owner of the target while this table's row in this ledger is used for this place."""
        source = SourceDatabase(self.database, self.oid, self.system, self.timeline)
        return Owner(ledger, table, source, self.target)

    @classmethod
    def at(cls, horizon: Horizon, account: str, target: str) -> Place:
        """The use of a row of the ledger by a configuration that reads from this source."""
        oid = horizon.position.database if horizon.position is not None else 0
        server = horizon.identity
        return cls(horizon.database, oid, server.system_identifier, server.timeline, account, target)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Place:
        """A value of another type than it should have becomes an unknown one."""
        database, system, account, target, mark = (
            value if isinstance(value := data.get(name), str) else ""
            for name in ("database", "system", "account", "target", "mark")
        )
        oid, timeline = (
            value if isinstance(value := data.get(name), int) else 0 for name in ("oid", "timeline")
        )
        return cls(database, oid, system, timeline, account, target, mark)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def may_be(self, other: Place) -> bool:
        """True if nothing that is known of both tells them apart."""
        mine, theirs = (SourceDatabase(each.database, each.oid, each.system) for each in (self, other))
        return (self.account, self.target) == (other.account, other.target) and mine.may_be(theirs)


def places_after(known: Sequence[Place], here: Place, *, in_use: bool) -> tuple[Place, ...] | None:
    """The places of a row that is used for `here` now; None: it is used by two configurations in turns.

    A change of the source or of the target is a change of the configuration, unless it leads back to an earlier place
    while the present one is `in_use`.
    """
    if known and known[0].may_be(here):
        return (here, *known[1:])
    if in_use and any(place.may_be(here) for place in known[1:]):
        return None
    return (here, *(place for place in known if not place.may_be(here)))[:MOST_PLACES]
