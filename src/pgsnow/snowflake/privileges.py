"""Privileges of a role in Snowflake, and the statements that grant missing ones.

Source: Snowflake docs, "SHOW GRANTS", "Access control privileges".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pgsnow.model.errors import PgsnowError
from pgsnow.model.table import TargetName
from pgsnow.snowflake.names import qualified, quote, schema_of
from pgsnow.snowflake.session import Session

IN_SCHEMA = ("CREATE TABLE", "CREATE STAGE")
"""On the target's schema; the role then owns what it has created."""
FILE_FORMATS = "CREATE FILE FORMAT"
"""On the target's schema, so that a MERGE reads part files itself. Without it, staging tables are used."""
VIEWS = "CREATE VIEW"
"""On the target's schema, for `live_view`."""
IN_DATABASE = ("CREATE SCHEMA",)
"""On the database, if the schema must be created."""
ON_TABLE = ("SELECT", "INSERT", "UPDATE", "DELETE")
"""Privileges needed on a target that another role has created."""
OWNERSHIP = "OWNERSHIP"
ROLES = ("ROLE", "DATABASE_ROLE", "APPLICATION_ROLE")
"""Kinds of roles, as SHOW GRANTS names them."""
TABLE = "TABLE"
"""Kind of object, as SHOW GRANTS names it."""


@dataclass(frozen=True, slots=True)
class Lack:
    """Privileges on one object that were not granted to a role. certain: False if the role may have inherited them,
    or if that is unknown."""

    role: str
    privileges: tuple[str, ...]
    kind: str
    where: str
    statement: str
    certain: bool


@dataclass(frozen=True, slots=True)
class Rights:
    """A role and (privilege, kind of object, its name) of each grant to itself; None: unknown."""

    role: str
    grants: frozenset[tuple[str, str, str]] | None

    @property
    def inherits(self) -> bool:
        """True if another role was granted to this one, perhaps a database role; the privileges of that role are not
        looked up."""
        return any(on in ROLES and privilege == "USAGE" for privilege, on, _ in self.grants or ())

    def on(self, kind: str, quoted: str) -> frozenset[str]:
        """The privileges that were granted on this object."""
        return frozenset(
            privilege for privilege, on, name in self.grants or () if on == kind and _same(name, quoted)
        )

    def lacking_in(self, target: TargetName, *, schema_there: bool) -> Lack | None:
        """Privileges that the role lacks to create tables and a stage in the target's schema; None: none."""
        if schema_there:
            return self._lack("SCHEMA", schema_of(target), IN_SCHEMA, with_usage=True)
        return self._lack("DATABASE", quote(target.database), IN_DATABASE, with_usage=True)

    def lacks_in(self, target: TargetName, privilege: str) -> Lack | None:
        """This privilege (FILE_FORMATS, VIEWS) on the target's existing schema, if the role certainly lacks it."""
        lack = self._lack("SCHEMA", schema_of(target), (privilege,))
        return lack if lack is not None and lack.certain else None

    def lacking_on(self, target: TargetName, *, alter: bool) -> Lack | None:
        """Privileges that the role lacks to load this existing table. alter: also to alter it, which requires
        ownership."""
        where = qualified(target)
        lack = self._lack(TABLE, where, (OWNERSHIP,) if alter else ON_TABLE)
        if lack is None or not alter:
            return lack
        statement = f"GRANT OWNERSHIP ON TABLE {where} TO ROLE {quote(self.role)} COPY CURRENT GRANTS"
        return Lack(lack.role, lack.privileges, lack.kind, lack.where, statement, lack.certain)

    def _lack(self, kind: str, where: str, wanted: Iterable[str], *, with_usage: bool = False) -> Lack | None:
        had = self.on(kind, where)
        missing = tuple(privilege for privilege in wanted if privilege not in had)
        if OWNERSHIP in had or not missing:
            return None
        named = ", ".join(("USAGE", *wanted) if with_usage else wanted)
        statement = f"GRANT {named} ON {kind} {where} TO ROLE {quote(self.role)}"
        certain = self.grants is not None and not self.inherits
        return Lack(self.role, missing, kind, where, statement, certain)


def rights_of(session: Session) -> Rights:
    """The rights of the session's role, without inherited ones. Some servers cannot list them."""
    [[role]] = session.execute("SELECT CURRENT_ROLE()").rows
    try:
        result = session.execute(f"SHOW GRANTS TO ROLE {quote(str(role))}")
    except PgsnowError:
        return Rights(str(role), None)
    grants = (result.column(name) for name in ("privilege", "granted_on", "name"))
    return Rights(str(role), frozenset(zip(*grants, strict=True)))


def _same(shown: str, quoted: str) -> bool:
    """SHOW GRANTS quotes a part of a name only if necessary: `DB."my schema"` is `"DB"."my schema"`."""
    return shown.replace('"', "") == quoted.replace('"', "")
