"""Real servers for every test of the project, those beside the backend too."""

from tests.temporary_files import use_memory

use_memory()

pytest_plugins = ["tests.servers", "tests.world", "tests.pooler"]
