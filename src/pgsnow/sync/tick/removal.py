"""Removes loaded files from the stages after the last run of a process."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from pgsnow.model.errors import PgsnowError
from pgsnow.model.unexpected import public_text
from pgsnow.snowflake.session import Session, connect
from pgsnow.snowflake.stage.stage import INTERNAL
from pgsnow.sync.load.open_batches import remove_loaded_files
from pgsnow.sync.runtime.context import EngineContext
from pgsnow.sync.runtime.log import logger
from pgsnow.sync.runtime.planner import target_of


def remove_files(context: EngineContext) -> None:
    """Remove all loaded files of this configuration that wait to be removed. Opens no session if there are none. A
    failure is logged: other runs remove the files later."""
    settings, stages = context.settings.snowflake, context.stages
    locations = {INTERNAL.location(target_of(table, settings)) for table in context.config.tables}
    if stages.s3 is not None:
        locations.add(stages.s3.url)
    try:
        with ExitStack() as stack:
            sessions: list[Session] = []

            def do(action: Callable[[Session], object]) -> object:
                if not sessions:
                    sessions.append(stack.enter_context(connect(settings, query_tag="pgsnow:files")))
                return action(sessions[0])

            problems = remove_loaded_files(context.ledger, do, stages, settings.account, sorted(locations))
    except PgsnowError as error:
        problems = [public_text(error)]
    for problem in problems:
        logger().warning("loaded files are not removed yet", error=problem)
