"""`make` needs only a Python, and says in one line what is wrong with the one it got."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.project.markdown import ROOT


def _venv(python: str, directory: Path, path: str | None = None) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PATH": path or os.environ["PATH"]}
    return subprocess.run(
        ["/bin/sh", str(ROOT / ".ci/venv"), python, str(directory)], capture_output=True, text=True, env=env
    )


def _script(file: Path, text: str) -> str:
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return str(file)


def test_a_python_that_is_not_there_is_named(tmp_path: Path) -> None:
    result = _venv("no-such-python", tmp_path / "venv")
    assert result.returncode == 1
    assert "there is no 'no-such-python' here" in result.stderr
    assert "make PYTHON=" in result.stderr


def test_a_python_that_is_too_old_is_refused_by_its_version(tmp_path: Path) -> None:
    old = _script(tmp_path / "python3", '[ "$1" = -V ] && echo "Python 3.9.2" && exit 0; exit 1')
    result = _venv(old, tmp_path / "venv")
    assert result.returncode == 1
    assert "is Python 3.9.2, and 3.11 or newer is needed" in result.stderr


def test_a_python_without_ensurepip_says_what_to_install(tmp_path: Path) -> None:
    bare = _script(
        tmp_path / "python3", 'case "$2" in *ensurepip*) exit 1;; esac; exec ' + sys.executable + ' "$@"'
    )
    result = _venv(bare, tmp_path / "venv")
    assert result.returncode == 1
    assert "no ensurepip" in result.stderr
    assert "apt install python3-venv" in result.stderr
    assert not (tmp_path / "venv").exists()


@pytest.mark.parametrize("inside", ["nothing", "a python of another place"])
def test_a_directory_that_is_not_our_environment_is_left_alone(tmp_path: Path, inside: str) -> None:
    """An environment moved or copied from elsewhere would install into its old place."""
    foreign = tmp_path / "venv"
    (foreign / "bin").mkdir(parents=True)
    if inside == "a python of another place":
        (foreign / "bin/python").symlink_to(sys.executable)
    result = _venv(sys.executable, foreign)
    assert result.returncode == 1
    assert "is not a virtual environment that works in this place" in result.stderr
    assert foreign.exists()


def test_an_environment_that_works_is_used_as_it_is(tmp_path: Path) -> None:
    """Nothing is installed, and nothing said, when uv is there already."""
    made = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(made)], check=True)
    _script(made / "bin/uv", "exit 0")
    result = _venv("no-such-python", made)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize(
    ("inside", "code"),
    [
        ("", 0),
        ('<skipped type="pytest.skip" message="no chromium">x</skipped>', 1),
        ('<skipped type="pytest.xfail" message="known">x</skipped>', 1),
    ],
)
def test_a_skipped_test_fails_the_run_and_is_named(tmp_path: Path, inside: str, code: int) -> None:
    report = tmp_path / "junit.xml"
    case = f'<testcase classname="tests.a" name="b">{inside}</testcase>'
    report.write_text(f"<testsuites><testsuite>{case}</testsuite></testsuites>")
    command = [sys.executable, str(ROOT / ".ci/skipped.py"), str(report)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == code
    assert ("tests.a.b" in result.stderr) == bool(code)


def test_the_cpu_minutes_of_a_command_are_told_and_its_exit_code_is_kept() -> None:
    """Those of its children too, which it has waited for."""
    burn = "import time\nwhile time.process_time() < 0.7: pass"
    script = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}]); sys.exit(3)"
    command = [sys.executable, str(ROOT / ".ci/cpu_minutes.py"), sys.executable, "-c", script]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 3
    [(minutes, user)] = re.findall(
        r"^CPU: (\S+) minutes \((\S+) user, \S+ system\), in \S+ minutes$", result.stdout
    )
    assert float(minutes) >= float(user)
    assert float(minutes) > 0


def test_a_command_that_a_signal_ends_ends_with_the_signals_code() -> None:
    command = [sys.executable, str(ROOT / ".ci/cpu_minutes.py"), "/bin/sh", "-c", "kill -9 $$"]
    assert subprocess.run(command, capture_output=True).returncode == 128 + 9
