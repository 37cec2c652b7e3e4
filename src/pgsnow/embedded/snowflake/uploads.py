"""What the server tells a client that wants to PUT a file."""

from __future__ import annotations

from typing import Any

import fakesnow.server

STAGE_FIELDS = {
    "region": "us-central1",
    "storageAccount": None,
    "endPoint": None,
    "path": "",
    "isClientSideEncrypted": False,
    "useS3RegionalUrl": False,
    "useRegionalUrl": False,
    "useVirtualUrl": False,
}
COMMAND_FIELDS = {
    "overwrite": True,
    "encryptionMaterial": None,
    "threshold": 209_715_200,
    "operation": "Node",
    "clientShowEncryptionParameter": False,
}


def describe_stages_fully() -> None:
    """Stock: leaves out fields that newer clients require, and never overwrites a file."""
    stock = fakesnow.server.gcs_stage_info

    def stage_info(request: Any, expression: Any, data: dict[str, Any]) -> dict[str, Any]:
        data.update(COMMAND_FIELDS)
        data.setdefault("sourceCompression", "auto_detect")
        return stock(request, expression, data) | STAGE_FIELDS

    fakesnow.server.gcs_stage_info = stage_info
