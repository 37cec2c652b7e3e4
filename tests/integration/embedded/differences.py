"""Statements that only one of the emulator and Snowflake accepts: for the tests, and a section of docs/emulator.md.

`python -m tests.integration.embedded.differences` prints the section.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

HEADING = "## Statement by statement"
INTRODUCTION = """\
Each row is tested (`tests/integration/embedded/test_differences.py`): its statement is sent to the emulator, which must
accept or reject it as the row says. What Snowflake does is from its documentation.
"""


@dataclass(frozen=True, slots=True)
class Difference:
    """One statement. before: statements that are needed first, which both accept. snowflake: what it does. because: why
    that does not mislead pgsnow's tests."""

    statement: str
    snowflake: str
    because: str
    before: tuple[str, ...] = ()


T = "CREATE TABLE T (I NUMBER(38,0), S VARCHAR(3))"
ROW = "INSERT INTO T (I, S) VALUES (1, 'a')"
NEVER = "is not sent"
CHECKED = "checks lengths before it loads"
ACCEPTED = (
    Difference("INSERT INTO T (S) VALUES ('abcd')", "error: too long for VARCHAR(3)", CHECKED, (T,)),
    Difference(
        """SELECT PARSE_JSON('{"a": {"b": 1, "b": 2}}')""",
        "error: a key is there twice; on the outermost level it is an error here too",
        "uses the option `'d'` for all JSON that may have such keys, except in COPY",
    ),
    Difference(
        """SELECT PARSE_JSON('{"a": 1, "a": 2}', 'd')""",
        "keeps the last value; both stay here",
        "compares the last value",
    ),
    Difference("GRANT ROLE NO_SUCH_ROLE TO USER NOBODY", "error: no such role", "prints grants, sends none"),
    Difference("ALTER WAREHOUSE NO_SUCH_WAREHOUSE RESUME", "error: no such warehouse", NEVER),
    Difference("ALTER SESSION SET NO_SUCH_PARAMETER = 1", "error: no such parameter", NEVER),
    Difference(
        "SELECT SYSTEM$CANCEL_ALL_QUERIES(999999999)",
        "may be an error: no such session",
        "reports an error of it as an event, and goes on",
    ),
    Difference(
        "SELECT S FROM T WHERE I = 1",
        "an error without the right, and without a warehouse",
        "tests these errors by their numbers",
        (T, ROW),
    ),
)
"""Accepted by the emulator, rejected by Snowflake."""
REJECTED = (
    Difference(
        'CREATE TABLE "t" (I NUMBER(38,0))', "another table", "refuses names that differ in case", (T,)
    ),
    Difference("CREATE TEMPORARY TABLE PUBLIC.TT (I NUMBER(38,0))", "a temporary table", NEVER),
    Difference("CREATE TABLE C (S VARCHAR COLLATE 'de')", "a column with a collation", "creates none"),
    Difference("CREATE TABLE B (B BINARY(2))", "a column of at most 2 bytes", CHECKED),
    Difference("CREATE TABLE G (G GEOGRAPHY)", "a column", "maps geometries to text"),
    Difference("CREATE TABLE V (V VECTOR(FLOAT, 3))", "a column", "maps vectors to VARIANT"),
    Difference("CREATE STREAM ST ON TABLE T", "a stream", NEVER, (T,)),
    Difference("SELECT HASH_AGG(*) FROM T", "a hash of all rows", NEVER, (T,)),
    Difference("SELECT $1 FROM @STG/a/", "rows of CSV files", "names a file format", ("CREATE STAGE STG",)),
    Difference(
        "COPY INTO T (I) FROM (SELECT FLOOR($1:I) FROM @STG/a/) FILE_FORMAT=(TYPE=PARQUET)",
        "loads: the function is on the list",
        "selects columns, casts, PARSE_JSON, CONVERT_TIMEZONE and constants",
        (T, "CREATE STAGE STG"),
    ),
    Difference(
        "COPY INTO T FROM @STG/a/ FILE_FORMAT=(TYPE=PARQUET) MATCH_BY_COLUMN_NAME=CASE_INSENSITIVE ON_ERROR=CONTINUE",
        "loads what it can",
        "states ON_ERROR=ABORT_STATEMENT",
        (T, "CREATE STAGE STG"),
    ),
    Difference(
        "COPY INTO T FROM @STG/a/ FILE_FORMAT=(TYPE=PARQUET) VALIDATION_MODE=RETURN_ERRORS",
        "the errors of the files",
        NEVER,
        (T, "CREATE STAGE STG"),
    ),
)
"""Rejected by the emulator, accepted by Snowflake."""


def section(accepted: Sequence[Difference] = ACCEPTED, rejected: Sequence[Difference] = REJECTED) -> str:
    """The section of the page, in Markdown."""
    return "\n".join(
        [
            f"{HEADING}\n",
            INTRODUCTION,
            "### Accepted here, rejected by Snowflake\n",
            *_table(accepted),
            "\n### Rejected here, accepted by Snowflake\n",
            *_table(rejected),
        ]
    )


def _table(rows: Sequence[Difference]) -> Iterator[str]:
    yield "| statement | Snowflake | pgsnow |\n|---|---|---|"
    for row in rows:
        yield f"| `{row.statement}` | {row.snowflake} | {row.because} |"


if __name__ == "__main__":
    sys.stdout.write(section() + "\n")
