"""Each dependency is justified in CONTRIBUTING.md, and locked without addresses of an index."""

from __future__ import annotations

import re
import tomllib

from tests.unit.project.markdown import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = (ROOT / "requirements.lock").read_text()


def _name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found
    return found[0].lower()


def _declared() -> set[str]:
    extras = PROJECT["project"]["optional-dependencies"].values()
    groups = PROJECT["dependency-groups"].values()
    lists = [PROJECT["project"]["dependencies"], *extras, *groups]
    return {_name(requirement) for requirements in lists for requirement in requirements} - {"pgsnow"}


def test_contributing_says_why_each_dependency_is_there() -> None:
    explained = set(re.findall(r"`([a-z0-9.-]+)`", (ROOT / "CONTRIBUTING.md").read_text()))
    assert _declared() - explained == set()


def test_every_dependency_is_locked_to_one_version() -> None:
    locked = {line.split("==")[0] for line in LOCK.splitlines() if "==" in line}
    assert _declared() - locked == set()


def test_the_lock_holds_names_and_versions_and_no_addresses() -> None:
    line = re.compile(r"[a-z0-9.-]+==[0-9][\w.!+]*( ; .+)?")
    assert [text for text in LOCK.splitlines() if not line.fullmatch(text)] == []
