"""Whether targets belong to this configuration, for commands that write nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pgsnow.ledger.claim import Claim
from pgsnow.ledger.errors import unless_missing
from pgsnow.ledger.ledger import Ledger
from pgsnow.model.checkpoint import Horizon
from pgsnow.model.config.sync_config import SyncConfig
from pgsnow.model.owner import Place, owner_in
from pgsnow.model.plan import TablePlan
from pgsnow.model.settings.settings import Settings
from pgsnow.snowflake.schema.required_ddl import TargetMark
from pgsnow.snowflake.schema.target_table import target_state
from pgsnow.snowflake.session import Session
from pgsnow.sync.runtime.owner import placed, settle_owner


@dataclass(frozen=True, slots=True)
class ConfiguredOwners:
    """Answers for the tables of one configuration, as a run would find them now. claims: by table, with what the ledger
    knows; without the right to write."""

    config: SyncConfig
    settings: Settings
    horizon: Horizon
    claims: Mapping[str, Claim]
    ledger: str

    @classmethod
    def of(cls, config: SyncConfig, settings: Settings, ledger: Ledger, horizon: Horizon) -> ConfiguredOwners:
        """Where there is no ledger yet, it may be one that was lost, and gets its id again. Raises what reading the
        ledger raises."""
        nothing: tuple[str, dict[str, Claim]] = ("", {})
        identity, claims = unless_missing(ledger.checkpoints.owners, nothing)
        return cls(config, settings, horizon, claims, identity)

    def look(self, session: Session, plan: TablePlan) -> TargetMark:
        """The mark that a run gives the target. Raises NotTheOwner if a run would."""
        name, target = plan.config.name, str(plan.target)
        where = Place.at(self.horizon, self.settings.snowflake.account, target)
        claim = self.claims.get(name) or Claim(name, "", "", 0, None, ledger=self.ledger)
        if not claim.places or Place.from_json(claim.places[0]) != replace(where, mark=_mark(claim)):
            claim, _ = placed(self.config, claim, where)
        state = target_state(session, plan.target)
        if state is None:
            return TargetMark(
                Place.from_json(claim.places[0]).owner(self.ledger, name).mark if self.ledger else ""
            )
        owner = owner_in(state.comment)
        if owner is not None and not self.ledger:
            claim = replace(claim, ledger=owner.ledger)
        settled = settle_owner(claim, target, state.comment, take_over=False)
        return TargetMark(settled.mark if settled else "", None if owner else state.owner)


def _mark(claim: Claim) -> str:
    return Place.from_json(claim.places[0]).mark
