"""A receiver of alerts does not answer.

Group: process
Danger: the address of an alert or a heartbeat accepts connections and is silent, or sends its answer a byte at a time.
A sync that waits for it stops exactly when something else is wrong already.
Answer: everything of that kind is sent in threads beside the sync, and a request is given up after 10 seconds, whatever
arrives. The message stays in the ledger, and later ticks of any worker try again for a day.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

import pytest

from pgsnow.integrations.notify.after_tick import AfterTick
from pgsnow.integrations.notify.post import send
from tests.inbox import SECRET, Inbox
from tests.progress import CEILING
from tests.world import MemoryWorld


@pytest.fixture
def synced(alerted: MemoryWorld) -> MemoryWorld:
    with alerted.engine() as engine:
        engine.tick()
    return alerted


def test_a_receiver_that_never_answers_delays_nothing(synced: MemoryWorld, receiver: Inbox) -> None:
    """The next ticks run and end while the message and the heartbeat still wait for an answer."""
    synced.options["heartbeat_url"] = f"{receiver.url}/{SECRET}/ping"
    receiver.hold.clear()
    after = AfterTick(synced.config, synced.settings)
    synced.sql("update sync_watermarks set unverified = 'restored'")
    with synced.engine() as engine:
        for number in range(3):
            synced.sql(f"insert into users values ({number}, 'a', 1, null)")
            report = engine.tick()
            after.tick_ended(engine.ledger, report)
            assert [table.status for table in report.tables] == ["ok"]
        assert receiver.arrived.acquire(timeout=CEILING)
        assert receiver.arrived.acquire(timeout=CEILING)
        receiver.hold.set()
        after.close()
    synced.assert_equal()
    assert receiver.paths == [f"/{SECRET}/ping"]
    assert len(receiver.bodies) == 1


def test_an_answer_that_arrives_a_byte_at_a_time_is_not_waited_for() -> None:
    """Each byte comes within the time that one may take, so that no timeout of the library ends it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        end = threading.Event()

        def drip() -> None:
            connection, _ = server.accept()
            with connection, suppress(OSError):
                connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                while not end.wait(0.02):
                    connection.sendall(b"x")

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        answer = send(f"http://127.0.0.1:{server.getsockname()[1]}/", b"{}", seconds=0.3)
        end.set()
        thread.join(CEILING)
    assert answer.problem == "did not answer within 0.3 s"
