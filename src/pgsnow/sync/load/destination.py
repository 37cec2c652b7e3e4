"""One run's end in Snowflake: connected when the first row is there, tried again where that is safe, swept after."""

from __future__ import annotations

import threading

from pgsnow.ledger.claim import Claim
from pgsnow.ledger.ledger import Ledger
from pgsnow.model.plan import TablePlan
from pgsnow.model.settings.settings import SnowflakeSettings
from pgsnow.snowflake.session import Session
from pgsnow.snowflake.stage.choose import Stages
from pgsnow.sync.load.context import LoadContext
from pgsnow.sync.load.early_upload import EarlyUploader
from pgsnow.sync.load.merge import BatchLoads
from pgsnow.sync.load.open_batches import OpenBatches
from pgsnow.sync.load.replace import FullReplace
from pgsnow.sync.load.session import RunSession
from pgsnow.sync.load.shadow_table import ShadowTable
from pgsnow.sync.load.target import Target
from pgsnow.sync.runtime.recorder import Recorder


class Destination:
    """The parts, which share one session. Opens no connection before one is given a row, or leftovers to sweep."""

    def __init__(
        self,
        settings: SnowflakeSettings,
        plan: TablePlan,
        ledger: Ledger,
        claim: Claim,
        progress: Recorder,
        stop: threading.Event,
        stagings: Stages,
        *,
        applying: bool = False,
        session: Session | None = None,
    ) -> None:
        """applying: a person has seen what is sent. session: one that another destination has handed on."""
        delivery = LoadContext(plan, ledger, claim, progress, stop, stagings)
        self.session = RunSession(settings, delivery, session)
        self.batches = OpenBatches(delivery, self.session)
        self.target = Target(delivery, self.session, applying=applying)
        self.beside = ShadowTable(delivery, self.session, self.batches, self.target)
        self.put_ahead = delivery.put_ahead
        self.ahead = EarlyUploader(delivery, self.session, self.batches, self.target, self.beside)
        self.whole = FullReplace(delivery, self.session, self.batches, self.target)
        self.units = BatchLoads(delivery, self.session, self.batches, self.target, self.beside)

    def close(self) -> None:
        self.session.close()
