"""Deprecated: use pgsnow.sync.runtime.log. Kept for one release."""

import warnings

from pgsnow.sync.runtime.log import configure, log_report, logger

__all__ = ["configure", "log_report", "logger"]

warnings.warn("pgsnow.sync.log is now pgsnow.sync.runtime.log", DeprecationWarning, stacklevel=2)
