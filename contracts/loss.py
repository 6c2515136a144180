"""Why a lead or a customer was lost: the taxonomy that all services share."""

from enum import StrEnum


class LossReason(StrEnum):
    """Why somebody did not buy, or buys no more. `unknown` is for whoever does not know yet, and is followed up."""

    PRICE = "price"
    PRODUCT = "product"
    """What was offered does not do what is needed."""
    QUALITY = "quality"
    SERVICE = "service"
    """How they were treated, or how long it took."""
    COMPETITOR = "competitor"
    """Bought elsewhere."""
    NO_NEED = "no_need"
    NO_BUDGET = "no_budget"
    TIMING = "timing"
    """Not now; it may be worth asking again."""
    NO_RESPONSE = "no_response"
    RELATIONSHIP = "relationship"
    """The person who knew them is gone, or trust is."""
    MOVED = "moved"
    """Out of reach: another place, out of business, deceased."""
    NOT_A_CUSTOMER = "not_a_customer"
    """Nobody who could buy: a test, a robot, an applicant, a supplier."""
    DUPLICATE = "duplicate"
    """The same interest is followed under another lead."""
    UNKNOWN = "unknown"
