"""Adding to a table list leaves every byte of it where it is."""

from __future__ import annotations

from difflib import ndiff
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pgsnow.config.edit import listed, merge
from pgsnow.config.entry_text import scalar
from pgsnow.model.discovery.proposal import Proposal, propose
from pgsnow.model.errors import ConfigError
from tests.unit.model.surveyed import ID, UPDATED, column, surveyed


def proposal(name: str, **more: Any) -> Proposal:
    return propose([surveyed(ID, UPDATED, name=name, **more)])[0]


NEW = [proposal("public.new"), proposal("public.nogrant", may_select=False)]
USERS = "source: public.users\n    target: users\n    pk: id\n    watermark_column: updated_at"


def merged(text: str, *proposals: Proposal, **env: str) -> str:
    return merge(text, proposals or NEW, file="f.yaml", env=env)


def sources(text: str) -> list[str]:
    return [table["source"] for table in yaml.safe_load(text)["tables"]]


FILES = {
    "plain": f"tables:\n  - {USERS}\n",
    "no newline at the end": f"tables:\n  - {USERS}",
    "windows": f"# mine\ntables:\n  - {USERS}\n".replace("\n", "\r\n"),
    "byte order mark": f"\ufefftables:\n  - {USERS}\n",
    "dashes at the margin": f"tables:\n- {USERS.replace('    ', '  ')}\n# mine\nparallel_tables: 2\n",
    "keys below": f"tables:\n  - {USERS}  # last\n    # batch_size: 5\n\n# about the rest\nparallel_tables: 2\n",
    "comments at the end": f"tables:\n  - {USERS}\n\n  # - source: public.old\n  #   target: old\n\n# end\n",
    "wide dash": "tables:\n    -   " + USERS.replace("\n    ", "\n        ") + "\n",
    "block scalar last": f"tables:\n  - {USERS}\n    where: |\n      id > 0\n\n",
    "list last": f"tables:\n  - {USERS}\n    columns:\n      exclude:\n        - secret\n",
    "flow values": f"tables:\n  - {USERS}\n    columns: {{exclude: [a,\n      b]}}   # why\n",
    "a document's marks": f"---\ntables:\n  - {USERS}\n...\n",
    "flow": '{"tables": [{"source": "public.users", "target": "u", "pk": "id", "watermark_column": "u"}]}\n',
    "flow with comma": "tables: [\n  {source: public.users, target: u, pk: id, watermark_column: u}, # mine\n]\n",
    "empty flow": "tables: []   # none yet\n",
    "nothing below": "parallel_tables: 3\ntables:   # none yet\nledger_schema: x\n",
    "no tables": "# mine\nparallel_tables: 3\n",
    "comments only": "# mine\n",
    "aliases": f"defaults: &d {{load: auto}}\ntables:\n  - {USERS}\n    columns: {{exclude: &x [a]}}\n  - <<: *d\n"
    "    source: public.other\n    target: other\n    pk: id\n    watermark_column: u\n    columns: {exclude: *x}\n",
}  # fmt: skip


@pytest.mark.parametrize("text", FILES.values(), ids=FILES)
def test_what_is_there_stays_and_new_tables_come_last(text: str) -> None:
    before = (yaml.safe_load(text) or {}).get("tables") or []
    after = merged(text)
    assert [
        d for d in ndiff(text.splitlines(), after.splitlines()) if d.startswith("- ")
    ] == [] or "[" in text
    kept = iter(after)
    assert all(character in kept for character in text), "every character, in its order"
    assert sources(after) == [table["source"] for table in before] + ["public.new"]
    assert merged(after) == after, "a second run changes nothing"


def test_a_refused_table_is_a_comment_with_its_reason() -> None:
    after = merged(FILES["plain"])
    assert after.startswith(FILES["plain"])
    assert "\n  # Not synced: role reader may not read the table" in after
    assert "\n  # - source: public.nogrant\n" in after


def test_line_ends_are_those_of_the_file() -> None:
    after = merged(FILES["windows"])
    assert after.count("\n") == after.count("\r\n")


def test_new_entries_come_before_the_next_key_and_after_the_lists_own_comments() -> None:
    after = merged(FILES["keys below"])
    assert after.index("# batch_size: 5") < after.index("public.new") < after.index("# about the rest")


@pytest.mark.parametrize(
    "line", ["  # - source: public.new", "#- source: public.new", "  #  - source: 'public.NEW'".lower()]
)
def test_a_table_that_a_person_commented_out_stays_out(line: str) -> None:
    text = f"{FILES['plain']}{line}\n  # - source: public.nogrant\n"
    assert merged(text) == text


def test_a_source_from_the_environment_is_known() -> None:
    text = FILES["plain"].replace("public.users", "${SCHEMA:-public}.new")
    assert "public.new" in listed(text, {}).sources
    assert "b.new" in listed(text, {"SCHEMA": "b"}).sources


@pytest.mark.parametrize(
    "text",
    [
        "tables: users\n",
        "[]\n",
        "tables: {a: b}\n",
        f"all: &t\n  - {USERS}\ntables: *t\n",
        f"tables:\n  - {USERS}\n    wrong: key\n",
        "tables: [\n",
    ],
)
def test_a_file_that_cannot_be_added_to_is_refused_with_a_word(text: str) -> None:
    with pytest.raises(ConfigError):
        merged(text)


def test_a_new_file_says_why_each_table_is_there() -> None:
    text = merged("")
    assert sources(text) == ["public.new"]
    assert "  # pk: primary key\n  # mode: xmin, because no column shows reliably" in text
    assert merged(text) == text


NAME = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).filter(lambda text: "\0" not in text)


@given(NAME)
def test_a_value_is_read_back_as_it_was(text: str) -> None:
    if text.isprintable():
        assert yaml.safe_load(f"a: {scalar(text)}\n") == {"a": text}


@given(
    st.lists(st.tuples(NAME, NAME, st.booleans()), max_size=4, unique_by=lambda t: t[:2]),
    st.sampled_from(sorted(FILES)),
)
def test_tables_of_any_name_are_added_once(names: list[tuple[str, str, bool]], file: str) -> None:
    tables = [
        surveyed(
            ID,
            column("updated_at", "timestamptz"),
            name='"{}"."{}"'.format(*(part.replace('"', '""') for part in (schema, table))),
            keys=[("id",)] if good else (),
        )
        for schema, table, good in names
    ]
    proposals = propose(tables, target_schema="fresh")
    everything = [*proposals, proposal("public.new")]
    after = merged(FILES[file], *everything)
    assert sources(after)[-1] == "public.new"
    assert merged(after, *everything) == after
