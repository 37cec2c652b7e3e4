"""All errors in one tree. Each leaf states when a retry may succeed, and how the operator can fix the cause.

PgsnowError
├── ConfigError              sync_config.yaml or the environment is wrong          after a fix
├── Unavailable
│   ├── SourceUnavailable    Postgres (source) does not answer                     now
│   │   ├── LogSessionUnavailable  no session of its own can read the log now      now
│   │   └── SlotBusy         another session reads the replication slot            now
│   ├── LedgerUnavailable    Postgres (ledger) does not answer                     now
│   ├── TargetUnavailable    Snowflake does not answer                             now
│   │   └── StatementInterrupted  Snowflake ended a statement itself               now
│   ├── StageUnreachable     the storage behind Snowflake's stage does not answer  never (the next tick)
│   ├── StagingUnavailable   the bucket's store does not answer                    now
│   ├── SpoolUnavailable     the worker's disk is full                             now
│   └── WriteConflict        another Snowflake transaction blocks the statement     now
├── AccessDenied
│   ├── SourceAccessDenied   password, role or grant in Postgres                   after a fix
│   ├── LedgerAccessDenied   the ledger's schema cannot be written                 after a fix
│   ├── TargetAccessDenied   credentials, role or grant in Snowflake               after a fix
│   │   ├── TargetLoginRefused  Snowflake refused the login                        after a fix
│   │   └── WarehouseUnusable  no warehouse that may execute the statement         after a fix
│   │       └── CreditsUsedUp  a resource monitor's quota, a trial or a payment    after a fix
│   ├── StagingAccessDenied  keys, role or policy of the bucket                    after a fix
│   ├── SpoolDenied          the folder for part files is not ours                 after a fix
│   └── LogSpoolUnusable     `log_spool_dir` is not the folder that the ledger knows  after a fix
├── LogGap
│   ├── SlotLost             the replication slot is gone, or lacks log            never (tables are read without it)
│   ├── SlotNotMade          a new replication slot cannot be made now             never (tables are read without it)
│   ├── PublicationMissing   the publication is gone                               never (tables are read without it)
│   ├── LogSpoolFull         the changes need more disk than `max_log_spool_mb`    never (tables are read without it)
│   └── LogMalformed         a message of the log makes no sense                   never (tables are read without it)
├── LedgerQueryFailed        a statement does not fit the ledger's tables          after a fix
├── LedgerRowUnreadable      a row of the ledger was edited, and makes no sense    after a fix
├── TableError               stops one table; other tables are synced
│   ├── SourceTableMissing   the table does not exist, or is not visible           after a fix
│   ├── ColumnMissing        a configured column does not exist                    after a fix
│   ├── KeyUnusable          pk columns are not unique, or do not exist            after a fix
│   ├── WatermarkUnusable    the watermark column cannot be used                   after a fix
│   ├── UnsupportedTable     a kind of table that this mode cannot read            after a fix
│   ├── SchemaMoved          the source's columns changed since the plan was made  now
│   ├── TypeChanged          a column's type changed to one the target cannot take after a fix
│   ├── SchemaChangePending  `schema_changes: manual`, and the target needs DDL    after a fix
│   ├── TargetConflict       the target has a column that cannot take the source's after a fix
│   ├── TransformFailed      the transform itself is broken (not one row)          after a fix
│   ├── TooManyRejected      more bad rows than `max_rejected_rows`                after a fix
│   ├── SourceQueryFailed    Postgres rejected a statement                         after a fix
│   ├── TargetQueryFailed    Snowflake rejected a statement                        after a fix
│   │   ├── TargetMissing    a table, schema or stage does not exist               after a fix
│   │   └── TargetRowsChanged  the target has another number of rows than it had   after a fix
│   ├── StatementTimeout     Snowflake ended a statement at a time limit           after a fix
│   ├── StagingRefused       the bucket does not exist, or rejected a request      after a fix
│   ├── LoadMismatch         Snowflake loaded another number of rows than written  now
│   ├── NotTheOwner          the target or the ledger's row is another configuration's   after a fix
│   ├── DeletesUnconfirmed   so many rows would be deleted that a person is asked    after a fix
│   ├── LedgerOutdated       the target has rows of later runs than the ledger knows  now
│   ├── LogUnusable          changes in the log cannot be taken from there           now
│   │   ├── RelationChanged  they are rows of another definition of the table        now
│   │   ├── KeyNotLogged     they do not have the key                                now
│   │   └── ChangesMalformed  they do not have the structure that is announced       now
│   └── StagedRowsLost       staged files are gone                                 after a fix
├── LeaseHeld                another run is syncing the table                      never (the next tick)
├── LeaseLost                this run lost its lease; its results are discarded    never (the next tick)
├── ShuttingDown             asked to stop between two load batches                never (the next tick)
├── MissingExtra             an optional package is not installed                  after a fix
└── UnexpectedError          an error that pgsnow does not know                    never

A table whose error stays is tried less and less often (`backs_off`). That is every error for which a retry now would
not help, and those that cost a whole load each time; an error that passes by itself and costs little is tried in each
tick.
"""

from __future__ import annotations

from enum import Enum
from typing import ClassVar


class Retry(Enum):
    """When trying again may succeed."""

    NOW = "now"
    AFTER_FIX = "after a fix"
    NEVER = "never"


class PgsnowError(Exception):
    """An error of pgsnow.

    `str(error)` is one line that names the object concerned (by default the first line of the class's docstring);
    `advice` says how to fix it. Neither contains a secret. exit_code: the command line's, if this error ends it.
    """

    retry: ClassVar[Retry] = Retry.NEVER
    backs_off: ClassVar[bool] = True
    """True if a table with this error is tried less often as long as the error stays."""
    of_account: ClassVar[bool] = False
    """True if the same error is met by the next statement of any table, whatever the table is like."""
    exit_code: ClassVar[int] = 2
    default_advice: ClassVar[str] = ""

    def __init__(self, message: str = "", *, advice: str = "", code: str | None = None) -> None:
        doc = (type(self).__doc__ or "").strip().splitlines()
        super().__init__(message or (doc[0] if doc else type(self).__name__))
        self.advice = advice or self.default_advice
        self.code = code
        """The driver's own code (sqlstate, or Snowflake's errno) where there is one."""

    @property
    def transient(self) -> bool:
        """True if trying again now may succeed."""
        return self.retry is Retry.NOW


class ConfigError(PgsnowError):
    """The configuration is wrong.

    `problems` lists every problem found, each as `file: key path: what is wrong — how to fix it`.
    """

    retry = Retry.AFTER_FIX

    def __init__(self, problems: list[str] | tuple[str, ...] | str, *, advice: str = "") -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems), advice=advice)


class MissingExtra(PgsnowError):
    """An optional package is not installed."""

    retry = Retry.AFTER_FIX

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed", advice=f"pip install 'pgsnow[{extra}]'")


class UnexpectedError(PgsnowError):
    """An error that pgsnow does not know stopped everything."""


class Unavailable(PgsnowError):
    """A server does not answer."""

    retry = Retry.NOW
    backs_off = False


class SourceUnavailable(Unavailable):
    """The source Postgres does not answer."""

    default_advice = "Check that Postgres is up and that POSTGRES_DSN (or PG_HOST, PG_PORT) names it."


class LogSessionUnavailable(SourceUnavailable):
    """The source's log cannot be read in a session of its own.

    The slot is as it was: `log_reader: auto` reads it with SQL functions instead."""

    default_advice = (
        "`mode: log` reads best on a direct connection to Postgres, for which max_wal_senders has a free place. Raise"
        " max_wal_senders, or let POSTGRES_DSN lead past the pooler; `log_reader: peek` reads through any connection."
    )


class SlotBusy(SourceUnavailable):
    """The replication slot cannot be read at present, because another session reads it, or the server waits."""

    def __init__(
        self, message: str = "", *, pid: int | None = None, advice: str = "", code: str | None = None
    ) -> None:
        super().__init__(
            message,
            advice=advice
            or "Nothing to do if another worker of this configuration reads it: the next tick tries again."
            " Otherwise pg_stat_activity shows the session; each configuration needs a slot of its own (`log_slot`).",
            code=code,
        )
        self.pid = pid
        """The process id of the session on the server, where it is known."""


class LedgerUnavailable(Unavailable):
    """The ledger's Postgres does not answer."""

    default_advice = "Check that the ledger's Postgres is up and reachable from here."


class TargetUnavailable(Unavailable):
    """Snowflake does not answer."""

    default_advice = "Check SNOWFLAKE_ACCOUNT (or SNOWFLAKE_HOST and SNOWFLAKE_PORT) and the network."


class StatementInterrupted(TargetUnavailable):
    """Snowflake ended the statement itself: an internal error, or a person cancelled it."""

    backs_off = True
    default_advice = "If it stays, show the query id in QUERY_HISTORY to the account's administrator."


class StageUnreachable(Unavailable):
    """The cloud storage behind Snowflake's stage does not answer, although Snowflake does.

    The connector has tried several times already, so it is not tried again in the same run.
    """

    retry = Retry.NEVER
    backs_off = True
    of_account = True
    default_advice = (
        "Files for a stage go to the cloud storage of the Snowflake account, which a firewall or proxy here blocks."
        " Allow the hosts of type STAGE that SELECT SYSTEM$ALLOWLIST() lists (port 443);"
        " `pgsnow check` uploads a small file to try it."
    )


class SpoolUnavailable(Unavailable):
    """Part files cannot be written now: the worker's disk is full, for example."""

    default_advice = (
        "Nothing is lost: the checkpoint has not moved, and the next tick reads the rows again. Free space, or set"
        " PGSNOW_SPOOL_DIR to a folder on a larger disk; a smaller `max_rows_per_load` needs less."
    )


class StagingUnavailable(Unavailable):
    """The store of the bucket does not answer."""

    default_advice = "Check S3_ENDPOINT_URL and S3_REGION, and the network."


class WriteConflict(Unavailable):
    """Another Snowflake transaction blocks this statement."""

    default_advice = "Nothing to do: the load batch is retried."


class AccessDenied(PgsnowError):
    """Credentials or privileges are missing."""

    retry = Retry.AFTER_FIX


class SourceAccessDenied(AccessDenied):
    """Postgres denied access to the role."""

    default_advice = (
        "Check the user in POSTGRES_DSN, and what it may do; `pgsnow check` prints missing grants."
    )


class LedgerAccessDenied(AccessDenied):
    """The role cannot write pgsnow's own tables."""

    default_advice = (
        "Grant the ledger's role CREATE on the database or USAGE and CREATE on the ledger's schema."
    )


class TargetAccessDenied(AccessDenied):
    """Snowflake denied access to the user or the role."""

    default_advice = "Check SNOWFLAKE_USER and its key or token, and the grants of SNOWFLAKE_ROLE."


class TargetLoginRefused(TargetAccessDenied):
    """Snowflake refused the login of the user."""

    of_account = True
    default_advice = (
        "The message has the reason. A user that is locked: wait 15 minutes, or ALTER USER … SET MINS_TO_UNLOCK = 0;"
        " disabled: ALTER USER … SET DISABLED = FALSE; a password, key or token that is wrong or has expired: check"
        " SNOWFLAKE_USER and its key, token or password; an address that is not allowed: add this machine's to the"
        " network policy; a suspended account: see Admin, Billing."
    )


class WarehouseUnusable(TargetAccessDenied):
    """No warehouse executes the statement: none is selected, or it is suspended and is not resumed."""

    of_account = True
    default_advice = (
        "Check SNOWFLAKE_WAREHOUSE: the warehouse must exist, SNOWFLAKE_ROLE needs its USAGE (GRANT USAGE ON"
        " WAREHOUSE … TO ROLE …), and it needs AUTO_RESUME = TRUE unless it always runs (ALTER WAREHOUSE … SET"
        " AUTO_RESUME = TRUE)."
    )


class CreditsUsedUp(WarehouseUnusable):
    """The warehouse or the account may not use more credits."""

    default_advice = (
        "Raise the quota of the resource monitor (ALTER RESOURCE MONITOR … SET CREDIT_QUOTA = …), or name another"
        " warehouse in SNOWFLAKE_WAREHOUSE. Otherwise the sync goes on when the monitor's next interval begins."
    )


class SpoolDenied(AccessDenied):
    """The folder for part files cannot be used, or others could read it."""

    default_advice = (
        "Set PGSNOW_SPOOL_DIR to a folder with mode 700 of this user, or to one in which it may create one."
    )


class LogSpoolUnusable(AccessDenied):
    """`log_spool_dir` is not the folder that the ledger knows, or cannot be written."""

    default_advice = (
        "Mount the volume with the folder, which all workers must share; `pgsnow check` says whether it is the right"
        " one. If it is lost, `pgsnow log setup --new-spool` makes another, and what waited there is read from the"
        " tables."
    )


class StagingAccessDenied(AccessDenied):
    """The bucket's store denied access to the keys."""

    default_advice = (
        "Check S3_ACCESS_KEY and S3_SECRET (or this machine's role), and the policy"
        " (`pgsnow explain going-live#7-a-bucket`)."
    )


class LogGap(PgsnowError):
    """The log cannot be continued from the slot's position.

    Nothing is lost: tables with `mode: log` are read without the log then, and join it again."""

    default_advice = "Nothing to do: the tables are read without the log, and join it again by themselves."


class SlotLost(LogGap):
    """The replication slot is gone, was invalidated, or cannot be read by us."""


class SlotNotMade(LogGap):
    """A replication slot cannot be made now: transactions are open, or the server has no free slot.

    blocker: id of the oldest open transaction, 32 bits, as text; '': that is not the cause, or it is not known."""

    def __init__(
        self, message: str = "", *, advice: str = "", code: str | None = None, blocker: str = ""
    ) -> None:
        super().__init__(message, advice=advice, code=code)
        self.blocker = blocker


class PublicationMissing(LogGap):
    """The publication does not exist."""

    default_advice = "Run `pgsnow log setup`. Until then the tables are read without the log."


class LogSpoolFull(LogGap):
    """Changes that were read from the log need more disk than `max_log_spool_mb` allows."""

    default_advice = (
        "Nothing is lost: the tables are read without the log this time. Raise `max_log_spool_mb` if transactions"
        " of this size are usual and the disk has room for them."
    )


class LogMalformed(LogGap):
    """A message of the log is not as pgoutput writes it."""


class LedgerQueryFailed(PgsnowError):
    """Postgres rejected a statement on the ledger's tables."""

    retry = Retry.AFTER_FIX


class LedgerRowUnreadable(PgsnowError):
    """A row of the ledger has a value that pgsnow did not write and cannot read."""

    retry = Retry.AFTER_FIX


class TableError(PgsnowError):
    """One table cannot be synced; the others can."""

    retry = Retry.AFTER_FIX
    exit_code = 1


class SourceTableMissing(TableError):
    """The source table does not exist, or the role cannot see it."""

    default_advice = "Correct `source:` in sync_config.yaml, or POSTGRES_DSN if it leads to another database."


class ColumnMissing(TableError):
    """A configured column does not exist in the source table."""

    default_advice = "Correct the column's name in sync_config.yaml."

    def __init__(
        self, message: str = "", *, advice: str = "", code: str | None = None, column: str = ""
    ) -> None:
        super().__init__(message, advice=advice, code=code)
        self.column = column
        """The column's name in the configuration; '' if unknown."""


class KeyUnusable(TableError):
    """The configured primary key does not identify a row."""

    default_advice = "Name the columns of a primary key or of a unique index in `pk:`."


class WatermarkUnusable(TableError):
    """The watermark column cannot be used."""

    default_advice = "Name a timestamptz, timestamp, date or integer column in `watermark_column:`."


class UnsupportedTable(TableError):
    """This kind of table cannot be read in this mode."""


class SchemaMoved(TableError):
    """The source table's definition changed between the plan and the read; nothing was loaded."""

    retry = Retry.NOW
    backs_off = False
    default_advice = "Nothing to do: the table is planned and read again."


class TypeChanged(TableError):
    """A column's type changed to one that its column in the target cannot take."""

    default_advice = (
        "Set `on_type_change: shadow` to load the values into a new column, or exclude the column."
    )


class SchemaChangePending(TableError):
    """`schema_changes: manual`: the target needs DDL that only `pgsnow apply` may run."""

    default_advice = "Review the statements with `pgsnow plan` and run them with `pgsnow apply`."


class TargetConflict(TableError):
    """The target table has a column that cannot take the source's values."""

    default_advice = "Rename the column (`columns: {rename: …}`), exclude it, or alter the target."


class TransformFailed(TableError):
    """The transform cannot be loaded or breaks its contract."""


class TooManyRejected(TableError):
    """More rows were rejected in one run than `max_rejected_rows` allows."""

    default_advice = "Fix the cause shown by `pgsnow errors list`; the checkpoint has not moved."


class SourceQueryFailed(TableError):
    """Postgres rejected a statement."""


class TargetQueryFailed(TableError):
    """Snowflake rejected a statement."""

    @property
    def about_data(self) -> bool:
        """True if a value was refused while the statement ran, such as a text that is too long: another statement over
        the same rows would be refused as well. Snowflake numbers these errors from 100000."""
        return (self.code or "").isdecimal() and 100_000 <= int(self.code or 0) < 200_000


class TargetMissing(TargetQueryFailed):
    """A table, schema, database or stage does not exist, or the role cannot see it."""

    default_advice = "Nothing to do for a table that pgsnow created. Otherwise check the role's grants."


class TargetRowsChanged(TargetQueryFailed):
    """The target has another number of rows than after the last load, or an older state was restored. The statement
    that found it changed nothing; the run looks at the target then, and reads everything again if it was altered.
    counted: the rows that the statement found."""

    def __init__(self, message: str, *, counted: int) -> None:
        super().__init__(message)
        self.counted = counted


class StatementTimeout(TableError):
    """Snowflake ended a statement that ran or waited longer than a time limit."""

    of_account = True
    default_advice = (
        "Use a larger or less busy warehouse, or lower `max_rows_per_load`. The limits are"
        " STATEMENT_TIMEOUT_IN_SECONDS and STATEMENT_QUEUED_TIMEOUT_IN_SECONDS: the smaller value of the session"
        " and of the warehouse counts (SHOW PARAMETERS IN WAREHOUSE …)."
    )


class StagingRefused(TableError):
    """The bucket does not exist, or its store rejected a request."""

    default_advice = "Check S3_BUCKET and S3_REGION."


class LoadMismatch(TableError):
    """Snowflake loaded another number of rows than was written."""

    retry = Retry.NOW
    default_advice = "Nothing is lost: the checkpoint has not moved and the rows are read again."


class NotTheOwner(TableError):
    """The target, or the table's row in the ledger, belongs to another configuration; nothing was written."""


class DeletesUnconfirmed(TableError):
    """Rows that the source does not show any more were not deleted: a person must confirm that.

    New and changed rows were loaded, so the table is not tried less often."""

    backs_off = False


class LedgerOutdated(TableError):
    """The target has rows of later runs than the ledger knows, which this run could not replace."""

    retry = Retry.NOW
    default_advice = (
        "Nothing to do: the next run has a later fence, reads everything again, and deletes rows that the source does"
        " not have."
    )


class LogUnusable(TableError):
    """A table's changes cannot be taken from the log; its rows are read from the table instead."""

    retry = Retry.NOW
    backs_off = False
    default_advice = (
        "Nothing to do: changed rows are read from the table itself, and it then follows the log again."
    )


class RelationChanged(LogUnusable):
    """The log has rows of another definition of the table than its plan's."""


class KeyNotLogged(LogUnusable):
    """Changes in the log do not have the table's key: its replica identity is another one."""

    default_advice = (
        "Make the replica identity contain the columns of `pk`: ALTER TABLE … REPLICA IDENTITY DEFAULT if that is the"
        " primary key, else USING INDEX or FULL. Until then the table is read without the log."
    )


class ChangesMalformed(LogUnusable):
    """Changes in the log do not have the structure that their table announces; none of them was used."""


class StagedRowsLost(TableError):
    """Staged files are gone, or contain other rows than was recorded."""

    default_advice = "Nothing is lost: the rows are read again from Postgres."


class LeaseHeld(PgsnowError):
    """Another run is syncing the table."""

    exit_code = 3
    default_advice = (
        "Nothing to do: the other run syncs the table. `pgsnow status` shows which worker has it."
    )


class LeaseLost(PgsnowError):
    """This run lost its lease on the table; its results are discarded, and the work is done again."""

    exit_code = 1
    default_advice = (
        "Nothing to do: the run that has the lease syncs the table. If this happens often, a worker stands still, or"
        " its connection to the ledger is lost, for longer than a lease lasts."
    )


class ShuttingDown(PgsnowError):
    """Asked to stop; the next tick continues from the table's checkpoint."""

    exit_code = 1
