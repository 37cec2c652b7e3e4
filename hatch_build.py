"""Adds a bill of materials to the wheel: `dist-info/sboms/pgsnow.cdx.json`, CycloneDX 1.6 (PEP 770).

It names what the wheel contains of others (two scripts of the status page, with checksums) and what it requires, with
the allowed versions; an installation decides which of them it gets. It has no time and no random number, so that the
same sources make the same wheel.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NAME = "pgsnow.cdx.json"
STATIC = "src/pgsnow/integrations/fastapi/static"
VENDORED = re.compile(r"(\S+\.js) is (\S+) (\d[\w.]*)")
"""As the file of their licences names them."""


class SbomHook(BuildHookInterface):  # type: ignore[type-arg]
    """Called by hatchling before it writes a wheel."""

    PLUGIN_NAME = "custom"
    _folder: tempfile.TemporaryDirectory[str] | None = None
    """Has the document until the wheel is written."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel" or version == "editable":
            return
        self._folder = tempfile.TemporaryDirectory(prefix="pgsnow-sbom-")
        file = Path(self._folder.name) / NAME
        file.write_text(json.dumps(self._document(), indent=2, sort_keys=True) + "\n")
        build_data["sbom_files"].append(str(file))

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Called by hatchling once the wheel is written."""
        if self._folder is not None:
            self._folder.cleanup()

    def _document(self) -> dict[str, Any]:
        metadata = self.metadata
        core = metadata.core
        root = {
            "type": "library",
            "bom-ref": f"pkg:pypi/{core.name}@{metadata.version}",
            "name": core.name,
            "version": metadata.version,
            "purl": f"pkg:pypi/{core.name}@{metadata.version}",
            "licenses": [{"expression": core.license_expression}],
        }
        required = [_required(line, "required") for line in core.dependencies]
        extras = [
            _required(line, "optional", extra)
            for extra, lines in sorted(core.optional_dependencies.items())
            for line in lines
            if not line.startswith(core.name)
        ]
        vendored = _vendored(Path(self.root) / STATIC)
        components = {component["bom-ref"]: component for component in [*extras, *required, *vendored]}
        return {
            "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "version": 1,
            "metadata": {"component": root, "lifecycles": [{"phase": "build"}]},
            "components": [components[ref] for ref in sorted(components)],
            "dependencies": [{"ref": root["bom-ref"], "dependsOn": sorted(components)}],
        }


def _required(line: str, scope: str, extra: str = "") -> dict[str, Any]:
    """A requirement. Its version is the installation's choice, so that only the allowed range is named."""
    found = re.match(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?\s*([^;]*)", line)
    assert found
    name = re.sub(r"[-_.]+", "-", found[1]).lower()
    properties = [{"name": "pgsnow:requirement", "value": line}]
    if extra:
        properties.append({"name": "pgsnow:extra", "value": extra})
    purl = f"pkg:pypi/{name}"
    return {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "purl": purl,
        "scope": scope,
        "properties": properties,
    }


def _vendored(folder: Path) -> list[dict[str, Any]]:
    """The scripts of others in the wheel."""
    licences = (folder / "LICENSE.htmx.txt").read_text()
    return [
        {
            "type": "library",
            "bom-ref": f"pkg:npm/{name}@{version}",
            "name": name,
            "version": version,
            "purl": f"pkg:npm/{name}@{version}",
            "scope": "required",
            "hashes": [
                {"alg": "SHA-256", "content": hashlib.sha256((folder / file).read_bytes()).hexdigest()}
            ],
            "properties": [{"name": "pgsnow:file", "value": f"{STATIC.removeprefix('src/')}/{file}"}],
        }
        for file, name, version in VENDORED.findall(licences)
    ]
