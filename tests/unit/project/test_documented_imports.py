"""Names that the documentation of this release or of the one before told users to import. Each one still works."""

from __future__ import annotations

import subprocess
import sys
import warnings
from importlib import import_module

import pytest

from tests.unit.project.markdown import blocks, pages

DOCUMENTED = [
    "pgsnow.embedded.snowflake.EmbeddedSnowflake",
    "pgsnow.integrations.celery.install",
    "pgsnow.integrations.fastapi.status_router",
    "pgsnow.model.errors.PgsnowError",
    "pgsnow.model.errors.TransformFailed",
    "pgsnow.model.report.SyncReport",
    "pgsnow.model.settings.PostgresSettings",
    "pgsnow.model.settings.Settings",
    "pgsnow.sync.engine.Engine",
    "pgsnow.sync.transform.batch_function",
    "pgsnow.testing.behaviour.Behaviour",
    "pgsnow.testing.destination.MemoryWarehouse",
    "pgsnow.testing.destination.memory_destination",
    "pgsnow.testing.faults.KillAt",
    "pgsnow.testing.faults.PauseAt",
    "pgsnow.testing.faults.RaiseAt",
    "pgsnow.testing.proxy.FaultProxy",
    "pgsnow.testing.requests.RequestReader",
]
RENAMED = {
    "pgsnow.sync.log": ("pgsnow.sync.runtime.log", ("configure", "logger")),
    "pgsnow.sync.setup": ("pgsnow.config.load", ("load_config", "load_settings", "load_source", "variables")),
}
"""Kept for one release, with a warning."""


@pytest.mark.parametrize("name", DOCUMENTED)
def test_a_documented_name_can_be_imported_and_warns_of_nothing(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        assert callable(getattr(import_module(module), attribute))


@pytest.mark.parametrize("module", RENAMED)
def test_a_renamed_module_works_and_names_the_new_one(module: str) -> None:
    new, names = RENAMED[module]
    sys.modules.pop(module, None)
    with pytest.warns(DeprecationWarning, match=f"{module} is now {new}"):
        old = import_module(module)
    for name in names:
        assert getattr(old, name) is getattr(import_module(new), name)


def test_the_decorator_is_still_there_once_the_whole_package_is_loaded() -> None:
    """A module of the package with the decorator's name would take its place."""
    code = (
        "import pgsnow.sync.table.context, pgsnow.sync.transform.steps;"
        "from pgsnow.sync.transform import batch_function; assert callable(batch_function)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_import_of_a_page_works() -> None:
    lines = {line for page in pages() for block in blocks(page, "python") for line in block.splitlines()}
    for line in sorted(lines):
        if line.startswith(("from pgsnow", "import pgsnow")):
            exec(line, {})
