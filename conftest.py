"""Real servers for every test of the project, those beside the backend too."""

pytest_plugins = ["tests.servers", "tests.world", "tests.pooler"]
