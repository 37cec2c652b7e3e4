"""The written `.env` says what was meant, to python-dotenv, whatever the values hold."""

from __future__ import annotations

import stat
import tempfile
from pathlib import Path

from dotenv import dotenv_values
from hypothesis import example, given
from hypothesis import strategies as st

from pgsnow.embedded.env_file import write_env_file

NAMES = st.from_regex(r"[A-Z][A-Z0-9_]{0,20}", fullmatch=True)
VALUES = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0\r"), max_size=40)


@given(values=st.dictionaries(NAMES, VALUES, max_size=6))
@example(values={"A": 'it\'s $HOME ${X} # \\ "x"', "B": "", "C": " a\n"})
def test_what_is_written_is_read_back(values: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ".env"
        write_env_file(path, values)
        assert dotenv_values(path, interpolate=False) == values


def test_it_is_private_and_leaves_no_draft(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("OLD=1\n")
    (tmp_path / ".env").chmod(0o644)
    write_env_file(tmp_path / ".env", {"NEW": "2"})
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == [".env"]
