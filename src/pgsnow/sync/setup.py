"""Deprecated: use pgsnow.config.load. Kept for one release."""

import warnings

from pgsnow.config.load import load_config, load_settings, load_source, variables

__all__ = ["load_config", "load_settings", "load_source", "variables"]

warnings.warn("pgsnow.sync.setup is now pgsnow.config.load", DeprecationWarning, stacklevel=2)
