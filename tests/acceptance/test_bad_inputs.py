"""A corpus of bad inputs: each is refused with its message, which names the place, what is wrong, and what to write."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pgsnow.config.load import load_config
from pgsnow.model.config.sync_config import parse_config
from pgsnow.model.errors import ConfigError
from pgsnow.model.settings.environment import VARIABLES
from pgsnow.model.settings.settings import Settings
from tests.acceptance.bad_inputs import ENVIRONMENT, TABLE, cases, problems
from tests.examples import examples

PLACE = {
    "table": r"sync_config\.yaml:\d+: tables\[0\](\.[\w.\[\]]+)?: ",
    "file": r"sync_config\.yaml(:\d+)?: (\w[\w.\[\]-]*: )?",
    "text": r"sync_config\.yaml(:\d+)?: ",
    "environment": r"environment: \w+: ",
    "command": r"2: ",
}
"""How a message of each group begins: the file with the line and the key, the variable, or the exit code."""
RICH: dict[str, Any] = {
    "sync_interval_seconds": 60,
    "alerts": {"to": [{"kind": "webhook", "url": "https://h/x", "headers": {"A": "b"}}], "lag": "1h"},
    "budget": {"credits_per_day": 3, "quiet_hours": ["22:00-06:00"]},
    "cost": {"auto_suspend_seconds": 30},
    "defaults": {"late_rows": "lossless"},
    "tables": [
        {
            **TABLE,
            "columns": {"exclude": ["a"], "rename": {"b": "c"}, "on_overflow": {"d": "null"}},
            "transform": {"hash": ["e"], "salt": "s", "mask": {"f": {"keep_last": 2}}, "cast": {"g": "text"}},
            "load_every": "10m",
            "alerts": {"lag": "2h"},
        },
        {"source": "a", "target": "b", "mode": "log", "pk": ["x", "y"]},
    ],
}
"""A valid configuration with values of all shapes."""
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5) | st.integers() | st.none() | st.booleans(), inner, max_size=3)
    ),
    max_leaves=5,
)
MARKS = (b"*", b"&a ", b"!x ", b"${", b"\n\t", b"---\n", b"'", b"<<: ")
UNTIMED = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=examples(100))


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place of a document."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, item in inside for found in paths(item, (*path, key)))]


def replaced(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    if not path:
        return by
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], by)
    return copy


def refusal(act: Callable[[], object]) -> tuple[str, ...]:
    """The problems of a ConfigError; none if it is accepted."""
    try:
        act()
    except ConfigError as error:
        return error.problems
    return ()


def test_each_bad_input_gets_its_message(tmp_path: Path) -> None:
    """More than 200; the messages are those of the file, and none quotes a library's own error or a traceback."""
    found = list(cases())
    assert len(found) >= 200
    for group, case in found:
        shown = json.dumps({key: case[key] for key in case if key != "says"}, default=str)
        told = problems(group, case, tmp_path)
        assert told == case["says"], shown
        for message in told:
            assert re.match(PLACE[group], message), (shown, message)
            assert not re.search(r"Traceback|pydantic|NoneType|<class|object at 0x", message), (
                shown,
                message,
            )
            if group != "command":
                assert " — " in message, (shown, message)


@UNTIMED
@given(st.sampled_from(paths(RICH)), VALUES)
def test_any_value_anywhere_in_a_configuration_is_accepted_or_refused(
    path: tuple[Any, ...], value: Any
) -> None:
    """Never another error, whatever stands in the place of a value; each problem names the file and the fix."""
    told = refusal(lambda: parse_config(replaced(RICH, path, value), file="f.yaml", env={}))
    assert [one for one in told if not one.startswith("f.yaml") or " — " not in one] == []


@UNTIMED
@given(st.data())
def test_any_file_is_accepted_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    """Of any bytes, and of a right file in which bytes were replaced."""
    right = json.dumps(RICH).encode()
    at = data.draw(st.integers(0, len(right)))
    some = data.draw(
        st.binary(max_size=6)
        | st.sampled_from([b"*", b"&a ", b"!x ", b"${", b"\n\t", b"---\n", b"'", b"<<: "])
    )
    whole = data.draw(st.booleans())
    (tmp_path / "f.yaml").write_bytes(
        some if whole else right[:at] + some + right[at + data.draw(st.integers(0, 9)) :]
    )
    told = refusal(lambda: load_config(tmp_path / "f.yaml", env={}))
    assert [one for one in told if "f.yaml" not in one or " — " not in one] == []


@UNTIMED
@given(
    st.dictionaries(
        st.sampled_from(sorted(VARIABLES)),
        st.text(max_size=12)
        | st.sampled_from(
            ["http://[", "postgresql://[::1", "x=1", "-1", "99999", "https://h:x", "'", "a b", "\\"]
        ),
        min_size=1,
        max_size=3,
    )
)
def test_any_environment_is_accepted_or_refused(some: dict[str, str]) -> None:
    """Each problem names the variable and the fix; what is accepted can be used without another error."""

    def use() -> None:
        found = Settings.from_env({**ENVIRONMENT, "S3_BUCKET": "lake", **some})
        found.snowflake.connect_kwargs()
        assert found.source.display
        assert repr(found)

    told = refusal(use)
    assert [one for one in told if not one.startswith("environment: ") or " — " not in one] == []
