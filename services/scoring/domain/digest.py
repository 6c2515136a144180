"""The digest: one hash over how every party stands, equal wherever the same facts were told."""

import hashlib
from zoneinfo import ZoneInfo

import msgspec

from services.scoring.domain.model import Model
from services.scoring.domain.policy import Policy
from services.scoring.domain.standing import Standing


def line(
    standing: Standing,
    *,
    as_of: int,
    currency: str | None,
    policy: Policy,
    zone: ZoneInfo,
    model: Model | None = None,
) -> bytes:
    """The canonical line of a party: a JSON array of codes, integers and ISO days, ended by a line feed.

    Stage, tier, loss reason, treatment, band of satisfaction and of loyalty, level, posture, flags, vip, x, tx, T,
    turnover, value, spend, currency, since, local day of the next change, hash of the policy and of the model.
    `as_of` is the local day (ordinal) that the standing was assessed for.
    """
    first, last, change = standing.first_day, standing.last_day, standing.next_change_at
    bought = first is not None and last is not None
    fields = (
        standing.stage,
        standing.tier,
        standing.loss_reason,
        standing.treatment,
        standing.satisfaction_band,
        standing.loyalty_band,
        standing.level,
        standing.posture,
        standing.flags,
        standing.vip,
        standing.purchase_days - 1 if bought else None,
        last.toordinal() - first.toordinal() if first and last else None,
        as_of - first.toordinal() if first else None,
        standing.turnover_minor,
        standing.value_minor,
        standing.spend_minor,
        currency,
        standing.since,
        change and change.astimezone(zone).date(),
        policy.content_hash,
        model and model.content_hash,
    )
    return msgspec.json.encode(fields) + b"\n"


class Digest:
    """SHA-256 over the lines of all parties that stand, taken in the order of their smallest identity id."""

    def __init__(self) -> None:
        self._whole = hashlib.sha256()
        self.parties = 0

    def take(self, lines: bytes, parties: int = 1) -> None:
        """The lines of the next parties."""
        self._whole.update(lines)
        self.parties += parties

    @property
    def hex(self) -> str:
        """The digest of what was taken."""
        return self._whole.hexdigest()
