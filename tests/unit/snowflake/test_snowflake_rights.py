"""What a role lacks in Snowflake, as the statement that grants it; the emulator knows no grants."""

from __future__ import annotations

import pytest

from pgsnow.model.table import TargetName
from pgsnow.snowflake.privileges import Rights

TARGET = TargetName("SALES", "my schema", "USERS")
TABLE = 'SALES."my schema".USERS'


def loader(*grants: tuple[str, str, str]) -> Rights:
    return Rights("LOADER", frozenset(grants))


def test_a_table_of_somebody_elses_is_loaded_with_four_rights_and_altered_with_ownership_alone() -> None:
    load = loader().lacking_on(TARGET, alter=False)
    alter = loader(("SELECT", "TABLE", TABLE)).lacking_on(TARGET, alter=True)
    assert load is not None
    assert alter is not None
    assert load.statement == (
        'GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE "SALES"."my schema"."USERS" TO ROLE "LOADER"'
    )
    assert alter.statement == (
        'GRANT OWNERSHIP ON TABLE "SALES"."my schema"."USERS" TO ROLE "LOADER" COPY CURRENT GRANTS'
    )


def test_what_is_there_already_is_not_missing() -> None:
    part = loader(("SELECT", "TABLE", TABLE), ("INSERT", "TABLE", TABLE)).lacking_on(TARGET, alter=False)
    assert part is not None
    assert part.privileges == ("UPDATE", "DELETE")


@pytest.mark.parametrize("alter", [True, False])
def test_an_owner_lacks_nothing(alter: bool) -> None:
    owner = loader(("OWNERSHIP", "TABLE", TABLE), ("OWNERSHIP", "SCHEMA", 'SALES."my schema"'))
    assert owner.lacking_on(TARGET, alter=alter) is None
    assert owner.lacking_in(TARGET, schema_there=True) is None


@pytest.mark.parametrize("kind", ["ROLE", "DATABASE_ROLE", "APPLICATION_ROLE"])
def test_a_role_that_holds_another_may_have_inherited_it(kind: str) -> None:
    """Database roles hold privileges too: a missing one is not certain then."""
    one = loader(("USAGE", kind, "SALES.WRITERS")).lacking_in(TARGET, schema_there=False)
    assert one is not None
    assert (one.certain, one.statement) == (
        False, 'GRANT USAGE, CREATE SCHEMA ON DATABASE "SALES" TO ROLE "LOADER"',
    )  # fmt: skip
