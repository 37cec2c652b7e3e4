"""Removes loaded files from the stages after the last run of a process."""

from __future__ import annotations

from pgsnow.model.errors import PgsnowError
from pgsnow.model.unexpected import public_text
from pgsnow.snowflake.stage.stage import INTERNAL
from pgsnow.sync.load.open_batches import remove_loaded_files
from pgsnow.sync.load.session import RunSession
from pgsnow.sync.runtime.context import EngineContext
from pgsnow.sync.runtime.log import logger
from pgsnow.sync.runtime.planner import target_of
from pgsnow.sync.runtime.recorder import Recorder


def remove_files(context: EngineContext, run_id: str) -> None:
    """Remove all loaded files of this configuration that wait to be removed. Opens no session if there are none. A
    failure is logged: other runs remove the files later."""
    settings, stages = context.settings.snowflake, context.stages
    locations = {INTERNAL.location(target_of(table, settings)) for table in context.config.tables}
    if stages.s3 is not None:
        locations.add(stages.s3.url)
    run = RunSession(context.sessions, Recorder("files", "", run_id), context.stop)
    try:
        problems = remove_loaded_files(context.ledger, run.do, stages, settings.account, sorted(locations))
    except PgsnowError as error:
        problems = [public_text(error)]
    for problem in problems:
        logger(run_id=run_id).warning("loaded files are not removed yet", error=problem)
