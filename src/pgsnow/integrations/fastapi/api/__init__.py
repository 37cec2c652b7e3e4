"""The JSON API of the status router, `{prefix}/api/v1/`."""
