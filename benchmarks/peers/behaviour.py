"""Behaviour of other tools in the cases of `benchmarks.behaviour`, with their default settings, measured once.

Bold: wrong, with exit code 0.
"""

from __future__ import annotations

TOOLS = ("dlt 1.31", "Sling 1.4.11", "ingestr 1.1.22", "Meltano", "the plan, literally")
ANSWERS: dict[str, tuple[str, str, str, str, str]] = {
    "2,500 ties across the edge of a batch": ("ok", "ok", "ok", "ok", "**2,300 lost**"),
    "5 later rows with the newest row's old stamp, copied by hand": (
        *("ok", "**0 of 5**", "ok", "ok", "**0 of 5**"),
    ),
    "late commit under an older watermark": (
        *("**lost**", "**lost**", "only by reading everything", "**lost**", "**lost**"),
    ),
    "hard delete": ("**stays**", "**stays**", "**stays**", "**stays**", "**stays**"),
    "added column": ("added", "added", "added", "**ignored**", "crash"),
    "numeric 1e30+0.1": ("crash", "**-66457463212204122080.967008**", "crash", "**1e+30**", "crash"),
    "numeric NaN": ("crash", "**NULL**", "**NULL**", "**NULL**", "crash"),
    "timestamptz infinity": (
        "**9999-12-31**",
        "**column is VARCHAR**",
        "**NULL**",
        "**9999-12-31**",
        "crash",
    ),
    "44 BC date": ("crash or exact", "exact", "exact", "crash", "crash"),
    "jsonb 12345678901234567890.123": ("**float**", "exact", "exact", "**float**", "**float**"),
    "JSON null": ("**SQL NULL**", "kept", "kept", "**SQL NULL**", "**SQL NULL**"),
    "text[] with NULL": ("exact", "**as text**", "exact", "crash", "exact"),
}
"""Case → what each tool does."""
