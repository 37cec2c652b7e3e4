"""Texts that no file of the project may contain."""

from __future__ import annotations

import hashlib
import re
import subprocess
from pathlib import Path

from tests.unit.project.markdown import ROOT

# In pieces, or this file would be found as well.
REGISTRIES = re.compile("|".join((r"pypi" + r"\.org", "python" + "hosted", "conda" + r"\.org")))
UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")


def _committed() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    files = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [file for file in files if file.is_file()]


def _found(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{file.relative_to(ROOT)}: {match[0]}"
        for file in _committed()
        for match in pattern.finditer(file.read_text(errors="replace"))
    ]


def test_no_file_names_a_package_registry() -> None:
    assert _found(REGISTRIES) == []


def test_no_comment_marks_unfinished_work() -> None:
    assert _found(UNFINISHED) == []


def test_the_license_is_apache_2_to_the_letter() -> None:
    digest = hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest()
    assert digest == "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"


def test_no_module_has_a_meaningless_name() -> None:
    """Names such as utils, common or helpers do not say what a module contains."""
    nameless = {"utils", "util", "common", "helpers", "misc", "types"}
    assert [str(p) for p in (ROOT / "src").rglob("*.py") if p.stem in nameless] == []


def test_the_changelog_keeps_its_form() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", heading) for heading in headings[1:])
