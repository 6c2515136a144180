"""What a caller says became of a lead."""

from typing import Any, Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from chassis.fields import AmountMinor, Body, CurrencyCode, Instant, TeamId, UserId, Versioned
from contracts.event import Slug
from contracts.loss import LossReason
from services.leads.models.fields import Attributes, Note


class LeadEdit(Versioned):
    """What is known otherwise now; what is not named stays. `version`, or If-Match, names the latest one."""

    attributes: Attributes | None = None
    """In the place of all that were there."""
    note: Note | None = None
    """Null takes it away."""

    @model_validator(mode="after")
    def _attributes_stay_an_object(self) -> Self:
        if "attributes" in self.model_fields_set and self.attributes is None:
            raise PydanticCustomError("attributes", "Send an empty object to take all attributes away")
        return self


class Moved(Versioned):
    """When a lead moved. `version`, or If-Match, names the latest one."""

    occurred_at: Instant | None = None
    """Now where it is not said; not before the lead was captured."""

    def told(self) -> dict[str, Any]:
        """What it says, for the domain."""
        return self.model_dump(exclude={"version"})


class Disqualified(Moved):
    """Why a lead is not worth pursuing."""

    reason: LossReason


class OrderIn(Body):
    """What was bought, where it is not told as a purchase."""

    amount_minor: AmountMinor
    """Gross amount in minor units of `currency`, tax included."""
    currency: CurrencyCode


class Won(Moved):
    """A lead became a sale, or an agreement on one."""

    order: OrderIn | None = None

    def told(self) -> dict[str, Any]:
        """See `Moved.told`."""
        bought = self.order.model_dump() if self.order else {}
        return self.model_dump(exclude={"version", "order"}) | bought


class Lost(Moved):
    """Why a lead was lost."""

    reason: LossReason
    competitor: Slug | None = None
    """Who won it, where that is known: a short name of the company."""


class Assigned(Versioned):
    """Who takes care of a lead from now on; what is not named is nobody. `version`, or If-Match, names the latest."""

    owner_id: UserId | None = None
    team_id: TeamId | None = None
