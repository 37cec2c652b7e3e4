"""Unexpected errors (all but PgsnowError): a text that is safe to publish, and a traceback without secrets.

The message of an unexpected error may contain anything, also a connection string. Reports, the ledger, pages, task
results and logs show `public_text`; the traceback is written only to the debug log.
"""

from __future__ import annotations

from collections.abc import Iterable

from pgsnow.model.errors import PgsnowError
from pgsnow.model.settings.secret import Secret

ADVICE = "The traceback is in the debug log: `pgsnow run --debug`, or the logger `pgsnow` at level DEBUG."


def public_text(error: BaseException) -> str:
    """The message of a PgsnowError, which contains no secret; for any other error its class, and the place in pgsnow's
    code where it was raised."""
    if isinstance(error, PgsnowError):
        return str(error)
    place = _place(error)
    return f"unexpected {type(error).__name__}" + (f" at {place}" if place else "")


def public_advice(error: BaseException) -> str:
    """The advice of a PgsnowError ('' if it has none); for any other error, where to find its traceback."""
    return error.advice if isinstance(error, PgsnowError) else ADVICE


def redacted_traceback(error: BaseException, secrets: Iterable[Secret] = ()) -> str:
    """The traceback as Python prints it, with `***` for `secrets` and for text in the form of a credential."""
    import traceback  # both imports are needed only for an unexpected error

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
