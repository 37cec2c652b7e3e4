"""`pgsnow alerts` and what `pgsnow run` sends: a person sees whether messages arrive, and never an address."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgsnow.embedded.postgres import EmbeddedPostgres
from tests.acceptance.cli_user import SECRET, User
from tests.inbox import Inbox
from tests.servers import own_database
from tests.world import NO_SNOWFLAKE


@pytest.fixture
def watcher(
    postgres: EmbeddedPostgres, user_template: str, tmp_path: Path, receiver: Inbox
) -> Iterator[User]:
    """A user whose alerts go to a receiver, and whose one table is not in the source: Snowflake is not needed."""
    with own_database(postgres, user_template) as dsn:
        found = User(tmp_path, dsn, NO_SNOWFLAKE)
        found.env |= {"HOOK": f"{receiver.url}/{SECRET}", "BEAT": f"{receiver.url}/beat"}
        found.options |= {
            "alerts": {
                "to": [{"kind": "slack", "url": "${HOOK}"}, {"url": "${HOOK}", "name": "hook"}],
                "page_url": "https://ops.example.com/sync",
            },
            "heartbeat_url": "${BEAT}",
        }
        found.tables = [{**found.tables[0], "source": "public.gone"}]
        found.save()
        yield found
        found.close()


def test_a_test_message_reaches_each_receiver_and_a_refusal_is_shown(watcher: User, receiver: Inbox) -> None:
    """Exit code 0 if all accept it; 1, with the reason, if one does not."""
    done = watcher.here("alerts", "test")
    assert done.code == 0, done.err
    assert done.err.strip() == "2 messages sent: 0 failed"
    assert [sorted(body)[:1] for body in receiver.bodies] == [["text"], ["advice"]]
    receiver.answers.append((403, {}))
    done = watcher.here("alerts", "test", "--to", "hook", "--output", "json")
    assert done.code == 1
    assert done.json == [
        {"receiver": "hook", "kind": "webhook", "accepted": False, "problem": "answered 403"}
    ]
    assert receiver.url not in done.out + done.err


def test_an_unknown_receiver_and_a_file_without_alerts_are_explained(watcher: User) -> None:
    done = watcher.here("alerts", "test", "--to", "pager")
    assert done.code == 2
    assert "no receiver has the name 'pager'" in done.err
    watcher.options.clear()
    watcher.save()
    done = watcher.here("alerts", "test")
    assert (done.code, "has no `alerts:`" in done.err) == (2, True)


def test_a_run_by_hand_or_by_cron_sends_alerts_and_the_heartbeat(watcher: User, receiver: Inbox) -> None:
    """A run of one table that a person names is no heartbeat: it says nothing about the schedule."""
    assert watcher.here("run", "--quiet").code == 1
    assert watcher.here("run", "--quiet", "--select", "public.gone").code == 1
    assert receiver.paths == ["/beat"]
    hook = [body for body in receiver.bodies if "rule" in body]
    assert [body["title"].partition(":")[0] for body in hook] == ["public.gone is blocked"]
    assert hook[0]["page"] == "https://ops.example.com/sync"
    done = watcher.here("alerts", "list", "--output", "json")
    assert [(row["type"], row["rule"], row["table"]) for row in done.json] == [
        ("alert", "blocked", "public.gone")
    ]
    assert "public.gone" in watcher.here("alerts", "list").out


def test_a_list_shows_messages_that_do_not_arrive(watcher: User, receiver: Inbox) -> None:
    receiver.answers.extend([(500, {}), (500, {})])
    watcher.here("run", "--quiet")
    done = watcher.here("alerts", "list")
    assert "answered 500" in done.out
    assert "2 messages not accepted" in done.err
    assert receiver.url not in done.out + done.err
    assert json.dumps(receiver.headers).count(SECRET) == 0
