"""Errors that pgsnow does not know: the text that everyone may see, and the traceback without secrets.

The text of such an error may quote anything, a connection string too. Reports, the ledger, pages, task results
and logs show `public_text`; the traceback is in the debug log alone.
"""

from __future__ import annotations

from collections.abc import Iterable

from pgsnow.model.errors import PgsnowError
from pgsnow.model.settings.secret import Secret

ADVICE = "The traceback is in the debug log: `pgsnow run --debug`, or the logger `pgsnow` at level DEBUG."


def public_text(error: BaseException) -> str:
    """The text of a PgsnowError, which holds no secret. Of any other error its class, and where pgsnow met it."""
    if isinstance(error, PgsnowError):
        return str(error)
    place = _place(error)
    return f"unexpected {type(error).__name__}" + (f" at {place}" if place else "")


def public_advice(error: BaseException) -> str:
    """How to fix a PgsnowError ('' if there is nothing to say); for any other error, where its traceback is."""
    return error.advice if isinstance(error, PgsnowError) else ADVICE


def redacted_traceback(error: BaseException, secrets: Iterable[Secret] = ()) -> str:
    """The traceback as Python prints it, with `***` for `secrets` and for what has the form of a credential."""
    import traceback  # both imports only for an error that nobody expected

    from pgsnow.model.settings.redaction import redacted

    return redacted("".join(traceback.format_exception(error)), secrets).rstrip()


def _place(error: BaseException) -> str:
    """`module:line` of the innermost frame of pgsnow's code; '' if there is none."""
    found, trace = "", error.__traceback__
    while trace is not None:
        module = str(trace.tb_frame.f_globals.get("__name__", ""))
        if module.split(".")[0] == "pgsnow":
            found = f"{module}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found
