"""Real servers for every test of the project, those beside the backend too."""

import gc

from tests.temporary_files import use_memory

use_memory()
gc.disable()  # until all tests are loaded: nothing of them is garbage

pytest_plugins = [
    "tests.slow_part",
    "tests.self_tests",
    "tests.servers",
    "tests.world",
    "tests.pooler",
    "tests.acceptance.cli_user",
    "tests.inbox",
]


def pytest_collection_finish() -> None:
    """The modules and tests that are loaded now stay until the end: the garbage collector need not go through them
    again and again, which took a twentieth of the tests' CPU time."""
    gc.collect()
    gc.freeze()
    gc.enable()
