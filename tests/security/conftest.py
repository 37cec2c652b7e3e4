from __future__ import annotations

from tests.acceptance.conftest import user

__all__ = ["user"]
