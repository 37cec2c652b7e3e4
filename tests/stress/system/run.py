"""Runs an episode, and says how it ended."""

from __future__ import annotations

import json
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

from tests.stress.system.perform import Episode
from tests.stress.system.script import Action, Script
from tests.stress.system.servers import Servers
from tests.stress.system.settle import Unsettled, settle

Say = Callable[[str], None]


@dataclass(frozen=True)
class Ended:
    """problem: empty if all was well, else the text. phase: the last one."""

    phase: int
    problem: str
    counts: Counter[str]


def run(script: Script, servers: Servers, say: Say = print, *, keep: Path | None = None) -> Ended:
    """keep: a folder for the logs of its processes, if it fails."""
    with (
        TemporaryDirectory(prefix="episode-", dir=servers.folder) as name,
        servers.database(script.settings["keep_wal"]) as env,
    ):
        folder = Path(name)
        env["PGSNOW_SPOOL_DIR"] = str(folder)
        episode = Episode(servers, folder, env, script.settings)
        try:
            return _run(script, episode, say)
        finally:
            episode.workers.kill_all()
            if keep is not None:
                keep.mkdir(parents=True, exist_ok=True)
                for log in (*folder.glob("*.log"), servers.folder / "postgres.log"):
                    (keep / log.name).write_bytes(log.read_bytes())
                for table in ("sync_logs", "sync_watermarks", "sync_slots", "sync_requests"):
                    (keep / f"{table}.jsonl").write_text(_rows(env["POSTGRES_DSN"], table))
                sent = servers.emulator.stats()["statements"]
                (keep / "statements.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in sent))


def _rows(dsn: str, table: str) -> str:
    with psycopg.connect(dsn, autocommit=True) as admin:
        return "".join(
            f"{row}\n" for (row,) in admin.execute(f"select row_to_json(t)::text from {table} t").fetchall()
        )


def _run(script: Script, episode: Episode, say: Say) -> Ended:
    for phase in range(script.phases):
        began = time.monotonic()
        episode.workers.start()
        _act(episode, [action for action in script.actions if action.phase == phase])
        acted = time.monotonic()
        try:
            settle(episode)
        except Unsettled as found:
            return Ended(phase, str(found), _counted(episode))
        except Exception:
            return Ended(phase, traceback.format_exc(), _counted(episode))
        say(
            f"seed {script.seed}, phase {phase}: {acted - began:.0f} s, settled in {time.monotonic() - acted:.0f} s"
        )
    return Ended(script.phases - 1, "", _counted(episode))


def _act(episode: Episode, actions: Sequence[Action]) -> None:
    """Each lane in a thread of its own."""
    lanes = sorted({action.lane for action in actions})
    began = time.monotonic()
    threads = [
        threading.Thread(target=_lane, args=(episode, [a for a in actions if a.lane == lane], began))
        for lane in lanes
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _lane(episode: Episode, actions: Sequence[Action], began: float) -> None:
    kept: dict[str, psycopg.Connection[tuple[object, ...]]] = {}
    for action in actions:
        time.sleep(max(0.0, began + action.at - time.monotonic()))
        try:
            episode.perform(action, kept)
        except Exception:
            episode.problems.append(f"{action}: {traceback.format_exc()}")
    if conn := kept.get("conn"):
        conn.close()


def _counted(episode: Episode) -> Counter[str]:
    """With the runs by status, and the ticks, that the ledger knows of."""
    counts = Counter(episode.counts)
    with psycopg.connect(episode.env["POSTGRES_DSN"], autocommit=True) as admin:
        runs = admin.execute("select status, count(*) from sync_logs group by 1").fetchall()
        errors = admin.execute(
            "select error_type, count(*) from sync_logs where error is not null group by 1"
        ).fetchall()
        full = admin.execute("select count(*) from sync_logs where full_read is not null").fetchall()
    counts.update({f"runs: {status}": count for status, count in runs})
    counts.update({f"run failed: {kind}": count for kind, count in errors})
    counts["runs that read everything"] = full[0][0]
    return counts


def compressed(actions: Sequence[Action], longest: float = 3.0) -> tuple[Action, ...]:
    """Without pauses of all lanes that are longer than that many seconds."""
    moved: list[Action] = []
    phase, last, less = -1, 0.0, 0.0
    for action in sorted(actions, key=lambda one: (one.phase, one.at)):
        if action.phase != phase:
            phase, last, less = action.phase, 0.0, 0.0
        less += max(0.0, action.at - last - longest)
        last = action.at
        moved.append(replace(action, at=round(action.at - less, 2)))
    return tuple(moved)
