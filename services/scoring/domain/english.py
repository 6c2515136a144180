"""The parts of a reason in English."""

from collections.abc import Mapping, Sequence

from contracts.scoring import Band, Stage
from services.scoring.domain.overrides import NUMBERS, Field
from services.scoring.domain.reasons.coming import Change, Coming, Output
from services.scoring.domain.reasons.indexes import IndexGround
from services.scoring.domain.reasons.otherwise import Otherwise
from services.scoring.domain.reasons.overriding import OverrideGround
from services.scoring.domain.reasons.potential import PotentialGround
from services.scoring.domain.reasons.reason import Reason
from services.scoring.domain.wording import amount, counted, decisive, number, percent

NUMBERED: Mapping[Field, str] = {
    Field.VALUE_MINOR: "value",
    Field.TURNOVER_MINOR: "turnover",
    Field.P: "probability",
    Field.SATISFACTION_INDEX: "satisfaction index",
    Field.LOYALTY_INDEX: "loyalty index",
}
"""What the numbers of a standing are called."""


class English:
    """See `Speech`."""

    between = " "

    def stage(self, reason: Reason) -> str:
        """See `Speech`."""
        ground = reason.stage
        why = "" if ground.loss_reason is None else f", reason {_words(ground.loss_reason)}"
        return f"{self._decided(reason)}: {_words(ground.stage)}{why}."

    def _decided(self, reason: Reason) -> str:
        ground, bought, chances = reason.stage, reason.bought, reason.chances
        last, sign, silent = ground.last_purchase_day, ground.last_sign_day, ground.silent_days
        if ground.rule == "declined_after_last_purchase":
            alone = self._alone(silent, ground.lost_after_days) if ground.by == "days" else ""
            return f"Last bought on {last}, and declined on {ground.declined_day}{alone}"
        if ground.rule == "declared_lost_since_last_sign":
            interest = "Showed no interest" if sign is None else f"Last showed interest on {sign}"
            alone = self._alone(silent, ground.prospect_lost_after_days)
            return f"{interest}, and was declared lost on {ground.declared_day}{alone}"
        if ground.by == "probability" and bought and chances and ground.dormant_below is not None:
            times = "Bought once" if not bought.x else f"Bought on {bought.x + 1} days"
            on = f"on {last}" if not bought.x else f"last on {last}"
            limits = f"dormant below {percent(ground.dormant_below)}, lost below {percent(ground.lost_below)}"
            fresh = ""
            if ground.rule == "silent_days_within_fresh_days":
                fresh = f"; a customer in any case for {ground.fresh_days} days after a purchase"
            p = percent(chances.p, ground.dormant_below, ground.lost_below)
            return (
                f"{times}, {on}, {_days(silent)} ago; will buy within {chances.horizon_days} days with a probability "
                f"of {p} ({limits}{fresh})"
            )
        if last is not None:
            limits = f"dormant after {ground.dormant_after_days}, lost after {ground.lost_after_days}"
            return f"Last bought on {last}, {_days(silent)} ago ({limits})"
        if sign is not None:
            limits = f"dormant after {ground.active_days}, lost after {ground.prospect_lost_after_days}"
            return f"Last showed interest on {sign}, {_days(silent)} ago ({limits})"
        return "Known, but without a purchase or a sign of interest that counts"

    @staticmethod
    def _alone(silent: int | None, lost_after_days: int) -> str:
        """Said of a declaration that silence has overtaken: without it the stage is the same."""
        if silent is None or silent <= lost_after_days:
            return ""
        return f" ({_days(silent)} of silence would do alone, lost after {lost_after_days})"

    def worth(self, reason: Reason) -> str:
        """See `Speech`."""
        tier, currency, chances, days = reason.tier, reason.currency, reason.chances, reason.turnover.window_days
        if tier.as_set is not None:
            worth = counted(Field.VALUE_MINOR, tier.as_set, currency)
            return f"Worth {worth}, as set by hand: tier {_words(tier.tier)}."
        left_out = "".join(
            f" ({amount(minor, code)} {code} are left out for want of a rate)"
            for code, minor in sorted(reason.turnover.unconverted.items())
        )
        if currency is None:
            return f"There is no reporting currency that anything converts to: tier {_words(tier.tier)}."
        worth = f"{amount(tier.value_minor, currency)} {currency}"
        if tier.by == "expected" and chances and chances.amount_minor is not None:
            each = f"{amount(round(chances.amount_minor), currency)} {currency}"
            return (
                f"Expected of the next {chances.value_days} days are {number(chances.purchases)} purchases of {each}, "
                f"in all {worth}: tier {_words(tier.tier)}."
            )
        return f"Net turnover of the last {days} days is {worth}{left_out}: tier {_words(tier.tier)}."

    def potential(self, ground: PotentialGround) -> str:
        """See `Speech`."""
        return f"Potential {ground.potential}: a lead of theirs was last graded so on {ground.graded_on}."

    def satisfaction(self, ground: IndexGround) -> str:
        """See `Speech`."""
        return self._index("Satisfaction", ground)

    def loyalty(self, ground: IndexGround) -> str:
        """See `Speech`."""
        return self._index("Loyalty", ground)

    def _index(self, name: str, ground: IndexGround) -> str:
        if ground.as_set is not None:
            return f"{name} is {ground.as_set:g} of 100, as set by hand: {ground.band}."
        if ground.band is Band.UNKNOWN:
            return f"{name} is unknown: too little evidence ({ground.evidence:g} of {ground.min_evidence:g})."
        most = decisive(ground)
        why = "" if most is None else f", most of all by {_words(most[0])} ({most[1]})"
        return f"{name} is {ground.index} of 100: {ground.band}{why}."

    def posture(self, reason: Reason) -> str:
        """See `Speech`."""
        ground = reason.posture
        return (
            f"{_days(ground.later_days)} with contact or purchase in the last {ground.window_days}, "
            f"{ground.earlier_days} in the {ground.window_days} before: {ground.posture}."
        )

    def treated(self, reason: Reason) -> str:
        """See `Speech`."""
        return f"Treatment: {_words(reason.treatment.treatment)}{', as a VIP' if reason.vip.vip else ''}."

    def set_by_hand(self, override: OverrideGround, currency: str | None) -> str:
        """See `Speech`."""
        until = "" if override.until is None else f" until {override.until}"
        value, derived = (_said(override.field, said, currency) for said in (override.value, override.derived))
        return f"Set by hand{until}: {_called(override.field)} {value} (it would be {derived})."

    def coming(self, turns: Sequence[Coming], currency: str | None) -> str:
        """See `Speech`."""
        told = "; ".join(
            f"{', '.join(self._change(change, currency) for change in turn.changes)} from {turn.day} on"
            for turn in turns
        )
        return f"If nothing else happens: {told}."

    def _change(self, change: Change, currency: str | None) -> str:
        after = change.after
        match change.field:
            case "stage":
                return _words(after)
            case "vip":
                return "a VIP" if after else "no VIP"
            case "flags":
                return f"flags {', '.join(map(_words, after)) if isinstance(after, tuple) and after else 'none'}"
        return f"{_called(change.field)} {_said(change.field, after, currency)}"

    def keeping(self, stage: Stage, other: Otherwise, *, at_any_time: bool) -> str:
        """See `Speech`."""
        what = "purchase" if other.added_minor is not None else "sign of interest"
        when = f"before {other.on}" if at_any_time else f"on {other.added_on}, but not one now,"
        return f"One {what} {when} keeps this {_words(stage)}."

    def mending(self, stage: Stage, other: Otherwise) -> str:
        """See `Speech`."""
        what = "purchase" if other.added_minor is not None else "sign of interest"
        return f"One {what} now makes this {_words(stage)} a {_words(other.stage)}."

    def raising(self, other: Otherwise, currency: str) -> str:
        """See `Speech`."""
        spent = other.added_minor or 0
        what = f"One purchase of {amount(spent, currency)} {currency}" if spent > 1 else "One purchase of any amount"
        return f"{what} now makes tier {other.tier}."


def _days(count: int | None) -> str:
    return "1 day" if count == 1 else f"{count} days"


def _called(field: str) -> str:
    return NUMBERED[Field(field)] if field in NUMBERS else _words(field)


def _said(field: str, value: Output, currency: str | None) -> str:
    if value is None or value == "":
        return "none"
    return counted(field, str(value), currency) if field in NUMBERS else _words(value)


def _words(code: object) -> str:
    return str(code).replace("_", " ")
