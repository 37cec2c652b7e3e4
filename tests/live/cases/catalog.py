"""Stages, sessions, error numbers, and what SHOW and DESCRIBE answer."""

from __future__ import annotations

import secrets
import threading
from datetime import datetime
from typing import Any

from pgsnow.snowflake.names import file_format_of, qualified, text
from pgsnow.snowflake.schema.file_format import differing
from pgsnow.snowflake.sql import statements as sql
from pgsnow.snowflake.sql.staged import create_file_format, show_file_format
from tests.live.cases.rows import FIELDS, KEY, LATEST, part, with_table
from tests.live.contract import Account, Case, Failed, answers

ERRORS = "Snowflake Connector for Python: errors"


def removed(account: Account) -> Any:
    """REMOVE with a pattern takes the folders 1-0 and 1-2, and neither 1-10 nor another table's."""
    for batch in ("gone/1-0", "gone/1-2", "gone/1-10", "stays/1-0"):
        account.stage_rows(batch, part(LATEST))
    answer = account.rows(sql.remove_batches(account.stage[1:], ["gone/1-0", "gone/1-2"]))
    left = account.rows(f"LIST {account.stage}/gone/"), account.rows(f"LIST {account.stage}/stays/")
    return len(answer), *([name.split("/", 1)[1] for name, *_ in listed] for listed in left)


def view_over_the_stage(account: Account) -> Any:
    place = account.stage_rows("view/1-0", part(LATEST))
    named = text(file_format_of(account.schema))
    query = f"SELECT $1:\"NAME\"::VARCHAR AS N, SPLIT_PART(METADATA$FILENAME, '/', -2) AS B FROM {place}"
    account.session.execute(f"CREATE VIEW OVER_STAGE AS {query} (FILE_FORMAT => {named})")
    return account.rows("SELECT N, B FROM OVER_STAGE ORDER BY 1")


def file_columns(account: Account) -> Any:
    """The path begins behind the stage, and rows have different numbers."""
    place = account.stage_rows("columns/1-0", part(LATEST))
    named = text(file_format_of(account.schema))
    query = f"SELECT MIN(METADATA$FILENAME), COUNT(DISTINCT METADATA$FILE_ROW_NUMBER) FROM {place}"
    return account.rows(f"{query} (FILE_FORMAT => {named})")


def at_the_same_time(account: Account) -> Any:
    """Several threads with a cursor each get their own results."""
    found: dict[int, Any] = {}

    def ask(number: int) -> None:
        run = account.with_tag(f"thread {number}")
        found[number] = [run.execute(f"SELECT {number} + {at}").rows[0][0] - at for at in range(3)]

    threads = [threading.Thread(target=ask, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return all(found.get(number) == [number] * 3 for number in range(4))


def tagged(account: Account) -> Any:
    """The tag of a statement is neither the session's, nor that of the next statement."""
    tags = [f"pgsnow live {secrets.token_hex(4)}" for _ in range(2)]
    ids = [account.with_tag(tag).execute(f"SELECT 1 /* {tag} */").query_id for tag in tags]
    history = "SELECT QUERY_ID, QUERY_TAG FROM TABLE(INFORMATION_SCHEMA.QUERY_HISTORY_BY_SESSION())"
    shown = dict(account.rows(history))
    return [shown.get(number) for number in ids] == tags


def shown_tables(account: Account) -> Any:
    target = account.target("SHOWN")
    account.session.execute(
        sql.create_table(target, FIELDS, KEY, comment="by pgsnow's", transient=True, clustered=["ID"])
    )
    account.session.execute(f"INSERT INTO {qualified(target)} VALUES (1, 'a', 1)")
    names = ("name", "kind", "cluster_by", "rows", "comment", "retention_time")
    before = account.columns(sql.show_table(target), *names)
    account.session.execute(sql.change_clustering(target, ["NAME", "ID"]))
    return before, account.columns(sql.show_table(target), "cluster_by")


def creation_time(account: Account) -> Any:
    """It tells a table that was created again from the one before."""
    with_table(account, "AGAIN")
    statement = sql.show_table(account.target("AGAIN"))
    (first,) = account.columns(statement, "created_on")
    account.session.execute("CREATE OR REPLACE TABLE AGAIN (ID NUMBER(38,0))")
    (second,) = account.columns(statement, "created_on")
    return isinstance(first[0], datetime), first < second


def described(account: Account) -> Any:
    account.session.execute(
        "CREATE TABLE DESCRIBED (A NUMBER(38,0) NOT NULL, B VARCHAR, C FLOAT, D BINARY, E DATE, F TIMESTAMP_NTZ,"
        " G TIMESTAMP_TZ, H VARIANT, I BOOLEAN, J TIME, K NUMBER(10,2))"
    )
    rows = account.columns(sql.describe_table(account.target("DESCRIBED")), "name", "type", "null?")
    return [(name, kind.partition("(")[0], null) for name, kind, null in rows], rows[0][1], rows[10][1]


def format_options(account: Account) -> Any:
    """The options that differ from pgsnow's: of its own format, and of one that a person has altered."""
    own = account.columns(show_file_format(account.schema), "name", "format_options")
    account.session.execute("CREATE FILE FORMAT OTHER TYPE=PARQUET NULL_IF=('x') TRIM_SPACE=TRUE")
    other = account.columns("SHOW FILE FORMATS LIKE 'OTHER'", "name", "format_options")
    return [(name, differing(shown)) for name, shown in own], "TRIM_SPACE = TRUE" in differing(other[0][1])


def wildcards(account: Account) -> Any:
    """`_` in a LIKE of SHOW is a wildcard unless a backslash is before it."""
    for name in ("A_B", "AXB"):
        account.session.execute(f"CREATE TABLE {name} (I NUMBER(38,0))")
    return account.columns(sql.show_table(account.target("A_B")), "name")


FAMILIES = [
    ("A", "NUMBER", "N"), ("B", "VARCHAR", "Y"), ("C", "FLOAT", "Y"), ("D", "BINARY", "Y"), ("E", "DATE", "Y"),
    ("F", "TIMESTAMP_NTZ", "Y"), ("G", "TIMESTAMP_TZ", "Y"), ("H", "VARIANT", "Y"), ("I", "BOOLEAN", "Y"),
    ("J", "TIME", "Y"), ("K", "NUMBER", "Y"),
]  # fmt: skip
CASES = (
    Case("REMOVE with a PATTERN takes whole folders", "REMOVE",
         (2, ["gone/1-10/part-0001.parquet"], ["stays/1-0/part-0001.parquet"]), removed),
    Case("a view may read an internal stage", "CREATE VIEW", [("a", "1-0"), ("b", "1-0"), ("old", "1-0")],
         view_over_the_stage),
    Case("METADATA$FILENAME is the path behind the stage", "Querying metadata for staged files",
         [("columns/1-0/part-0001.parquet", 3)], file_columns),
    Case("a SELECT from a stage takes no inline format", "Querying data in staged files", Failed("1003"),
         lambda a: a.rows(f"SELECT $1 FROM {a.stage}/x/ (FILE_FORMAT => (TYPE=PARQUET))")),
    Case("statements of one session may run at the same time", "Snowflake Connector for Python: threadsafety", True,
         at_the_same_time),
    Case("each statement may have a query tag of its own", "QUERY_HISTORY", True, tagged, Failed("1003")),
    Case("SHOW TABLES: kind, clustering key, rows, comment and time travel", "SHOW TABLES",
         ([("SHOWN", "TRANSIENT", 'LINEAR("ID")', 1, "by pgsnow's", "1")], [('LINEAR("NAME", "ID")',)]), shown_tables),
    Case("SHOW TABLES: a table that was created again has a later time", "SHOW TABLES", (True, True), creation_time),
    Case("SHOW TABLES LIKE: a backslash escapes a wildcard", "SHOW TABLES", [("A_B",)], wildcards),
    Case("SHOW FILE FORMATS shows the options of a format as JSON", "SHOW FILE FORMATS",
         ([("PGSNOW_PARQUET", "")], True), format_options),
    Case("a file format that exists is error 2002", ERRORS, Failed("2002"),
         lambda a: a.rows(create_file_format(a.schema))),
    Case("DESCRIBE TABLE: names, families of types, NOT NULL, precision of numbers", "DESCRIBE TABLE",
         (FAMILIES, "NUMBER(38,0)", "NUMBER(10,2)"), described),
    Case("a table that does not exist is error 2003", ERRORS, Failed("2003"), answers("SELECT * FROM NO_SUCH_TABLE")),
    Case("SHOW in a schema that does not exist is error 2043", ERRORS, Failed("2043"),
         answers("SHOW TABLES IN SCHEMA NO_SUCH_SCHEMA")),
    Case("a table that exists is error 2002", ERRORS, Failed("2002"),
         answers("CREATE TABLE TWICE (I NUMBER(38,0))", "CREATE TABLE TWICE (I NUMBER(38,0))")),
    Case("a syntax error is error 1003", ERRORS, Failed("1003"), answers("SELECT FROM WHERE")),
    Case("a text that is no date is error 100035", ERRORS, Failed("100035"), answers("SELECT 'x'::TIMESTAMP_TZ")),
    Case("a text that is no number is error 100038", ERRORS, Failed("100038"), answers("SELECT TO_NUMBER('x')")),
    Case("a division by zero is error 100051", ERRORS, Failed("100051"), answers("SELECT 1 / 0")),
    Case("COMMIT of a transaction makes all of its statements visible", "Transactions", [(2,)],
         answers("CREATE TABLE BOTH (I NUMBER(38,0))", "BEGIN TRANSACTION", "INSERT INTO BOTH VALUES (1)",
                 "INSERT INTO BOTH VALUES (2)", "COMMIT", "SELECT COUNT(*) FROM BOTH")),
    Case("ROLLBACK undoes all statements of a transaction", "Transactions", [(0,)],
         answers("CREATE TABLE NEITHER (I NUMBER(38,0))", "BEGIN TRANSACTION", "INSERT INTO NEITHER VALUES (1)",
                 "ROLLBACK", "SELECT COUNT(*) FROM NEITHER")),
)  # fmt: skip
