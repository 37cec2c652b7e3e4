"""Creates a PostgreSQL data directory, completely or not at all, in a place that the server's user can
enter."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

from pgsnow.embedded.binaries import reachable
from pgsnow.embedded.child import as_user
from pgsnow.embedded.process import EmbeddedServerFailed

SUPERUSER = "postgres"
OPTIONS = ("-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--locale=C")
SHELTERS = Path("/var/tmp")
ORIGIN = "origin"


def make_cluster(binaries: Path, data_dir: Path, user: pwd.struct_passwd | None, *, sync: bool) -> None:
    """A new cluster at `data_dir`, created in a directory beside it and renamed when it is complete."""
    home = _home_for(data_dir, user)
    work = Path(tempfile.mkdtemp(prefix="initdb-", dir=home.parent))
    if user is not None:
        os.chown(work, user.pw_uid, user.pw_gid)
    argv = [str(binaries / "initdb"), "-D", str(work), *OPTIONS, *([] if sync else ["--no-sync"])]
    made = subprocess.run(argv, capture_output=True, text=True, check=False, cwd="/", **as_user(user))
    if made.returncode != 0:
        shutil.rmtree(work)
        raise EmbeddedServerFailed(f"initdb failed: {made.stderr.strip()}")
    if home.is_dir():
        home.rmdir()
    work.rename(home)


def _home_for(data_dir: Path, user: pwd.struct_passwd | None) -> Path:
    """The directory of the cluster: `data_dir`, or, if the server's user cannot be given access to its parent
    directory, a separate directory that `data_dir` links to."""
    if user is None or _let_in(data_dir.parent, user):
        return data_dir
    remove_lost_shelters()
    shelter = Path(tempfile.mkdtemp(prefix="pgsnow-", dir=SHELTERS))
    shelter.chmod(0o711)
    (shelter / ORIGIN).write_text(str(data_dir))
    if data_dir.is_dir() and not data_dir.is_symlink():
        data_dir.rmdir()
    data_dir.unlink(missing_ok=True)
    data_dir.symlink_to(shelter / data_dir.name)
    return shelter / data_dir.name


def _let_in(directory: Path, user: pwd.struct_passwd) -> bool:
    """True if the user can pass through the directory. One that is private to us, such as a fresh temporary
    one, is opened for passing (not for listing); directories above it are never touched."""
    if reachable(directory, user):
        return True
    before = directory.stat()
    if before.st_uid != os.geteuid() or not reachable(directory.parent, user):
        return False
    directory.chmod(before.st_mode | 0o011)
    return True


def remove_lost_shelters() -> None:
    """Removes the clusters outside their directory whose directory is gone."""
    for shelter in SHELTERS.glob("pgsnow-*"):
        origin = shelter / ORIGIN
        if not origin.is_file() or shelter.stat().st_uid != os.geteuid():
            continue
        link = Path(origin.read_text())
        if not (link.is_symlink() and link.readlink().parent == shelter):
            shutil.rmtree(shelter, ignore_errors=True)
