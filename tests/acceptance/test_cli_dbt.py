"""`pgsnow dbt`: writes, keeps, and checks in CI."""

from __future__ import annotations

import yaml

from tests.acceptance.cli_user import User


def test_the_file_is_written_then_unchanged_and_a_new_column_is_a_difference_for_ci(user: User) -> None:
    """The first call writes, the second changes nothing, and `--check` ends with 4 after a column was added. Nothing is
    asked of Snowflake."""
    user.save()
    file = user.folder / "models" / "sources.yml"
    done = user.here("dbt", str(file))
    assert done.code == 0, done.err
    text = file.read_text()
    assert "users" in [table["name"] for one in yaml.safe_load(text)["sources"] for table in one["tables"]]
    assert "nothing to change" in user.here("dbt", str(file)).err
    assert user.here("dbt", str(file), "--check").code == 0
    user.sql("alter table users add column added_later int")
    changed = user.here("dbt", str(file), "--check")
    assert (changed.code, file.read_text()) == (4, text)
    assert f"pgsnow dbt {file}" in changed.err
    assert "added_later" in user.here("dbt", "-").out


def test_a_place_that_is_no_file_of_sources_is_named_and_left_alone(user: User) -> None:
    """A folder, a file that is no text, and a place where no folder can be made."""
    user.save()
    binary = user.folder / "image.yml"
    binary.write_bytes(b"\xff\xfe")
    for place, problem in (
        (user.folder, "cannot be read"),
        (binary, "is not text in UTF-8"),
        ("/proc/none/sources.yml", "cannot be written"),
    ):
        done = user.here("dbt", str(place))
        assert done.code == 2
        assert problem in done.err
        assert "unexpected" not in done.err
    assert binary.read_bytes() == b"\xff\xfe"
