"""The log of one database, read over SQL, for tests of what becomes of its messages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from struct import Struct

import numpy as np

from pgsnow.model.log.relation import LogRelation
from pgsnow.postgres.connection import TEXT_SETTINGS
from pgsnow.postgres.replication.messages import relation_of
from pgsnow.postgres.replication.reading import ChangeBlock
from tests.integration.postgres.lab import Lab

_COMMIT = Struct(">xBQQq")


class LogLab:
    """A slot and a publication of all tables in the database of a Lab."""

    def __init__(self, lab: Lab, name: str = "pgsnow_test") -> None:
        self.lab, self.name = lab, name
        self._relations: dict[int, LogRelation] = {}
        lab.run(
            f"create publication {name} for all tables with (publish_via_partition_root = true)",
            f"select pg_create_logical_replication_slot('{name}', 'pgoutput')",
            "set synchronous_commit = on",  # a slot shows what was flushed
            *(f"set {setting} = '{value}'" for setting, value in TEXT_SETTINGS.items()),
        )

    def blocks(self, oid: int, *, most: int = 1000) -> list[ChangeBlock]:
        """The changes of the table since the last call, in blocks of at most so many messages."""
        rows = self.lab.admin.execute(
            "select data from pg_logical_slot_get_binary_changes(%s, null, null,"
            " 'proto_version', '1', 'publication_names', %s)",
            (self.name, self.name),
            binary=True,
        ).fetchall()
        return [*self._joined(oid, [bytes(data) for (data,) in rows], most)]

    def _joined(self, oid: int, messages: list[bytes], most: int) -> Iterator[ChangeBlock]:
        relation, found, commits = None, list[bytes](), list[int]()
        begun = 0
        for message in messages:
            if message[:1] == b"R":
                made = relation_of(memoryview(message), 1)
                self._relations[made.oid] = made
            elif message[:1] == b"C":
                _, _, end, _ = _COMMIT.unpack_from(message)
                commits += [end] * (len(found) - begun)
                begun = len(found)
                while len(found) > most and relation is not None:
                    yield block_of(relation, found[:most], commits[:most])
                    found, commits = found[most:], commits[most:]
                    begun = len(found)
            elif message[:1] in b"IUDT" and _names(message, oid):
                now = self._relations[oid]
                if relation is not None and now != relation and found:
                    pending = [0] * (len(found) - len(commits))
                    yield block_of(relation, found, commits + pending)
                    found, commits, begun = [], [], 0
                relation = now
                found.append(message)
        if found and relation is not None:
            yield block_of(relation, found, commits)


def block_of(relation: LogRelation, messages: list[bytes], commits: list[int]) -> ChangeBlock:
    return ChangeBlock(
        relation,
        memoryview(b"".join(messages)),
        np.array([len(message) for message in messages], np.int64),
        np.array(commits, np.int64),
    )


def _names(message: bytes, oid: int) -> bool:
    if message[:1] == b"T":
        return oid in np.frombuffer(message[6:], ">u4").tolist()
    return int.from_bytes(message[1:5]) == oid


@contextmanager
def log_of(lab: Lab) -> Iterator[LogLab]:
    """The log of the lab's database, whose slot is dropped at the end."""
    log = LogLab(lab)
    try:
        yield log
    finally:
        lab.run(f"select pg_drop_replication_slot('{log.name}')")
