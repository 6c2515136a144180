"""What the list of parties is asked for: the fields of its form, and what they mean to the API."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Self
from urllib.parse import urlencode

from chassis.clock import now
from contracts.leads import Grade
from contracts.scoring import Band, Stage, Tier
from gateway.console.formats import Formats
from gateway.console.frame import Page
from gateway.console.naming import Names
from gateway.console.numbers import minor_read, share_of, whole

SLIPPED = "slipped_customer"
"""Customers of either stage that a customer falls to."""
STAGES = tuple(str(stage) for stage in Stage if stage is not Stage.STRANGER)
TIERS = tuple(map(str, Tier))
BANDS = tuple(map(str, Band))
GRADES = tuple(map(str, Grade))
SORTS = (
    "value", "lowest_value", "tier", "lowest_tier", "stage", "last_stage", "next_change_at", "last_contact",
    "untouched", "last_seen", "silent",
)  # fmt: skip
UP, DOWN = "ascending", "descending"
HEADINGS: Mapping[str, Mapping[str, str]] = {
    "stage": {"stage": UP, "last_stage": DOWN}, "tier": {"tier": DOWN, "lowest_tier": UP},
    "value": {"value": DOWN, "lowest_value": UP}, "contact": {"last_contact": DOWN, "untouched": UP},
    "seen": {"last_seen": DOWN, "silent": UP}, "next": {"next_change_at": UP},
}  # fmt: skip
"""The orders of each column that has any, the one first that its heading leads to, and which way each goes."""
SIGNS = frozenset({"last_seen", "silent", "silent_days", "seen_days"})
"""Orders and filters by what parties do of themselves."""
DAYS = ("7", "14", "30", "60", "90", "180", "365")
CHOICES: Mapping[str, tuple[str, ...]] = {
    "stage": (*STAGES, SLIPPED), "tier": TIERS, "satisfaction": BANDS, "loyalty": BANDS,
    "potential": GRADES, "sort": SORTS, "vip": ("true",),
}  # fmt: skip
"""Fields that have one of several codes."""
SEVERAL: Mapping[str, tuple[str, ...]] = {SLIPPED: ("dormant_customer", "lost_customer")}
"""Stages that one choice stands for."""
RANGES = ("untouched_days", "touched_days", "silent_days", "seen_days", "changes_within_days", "falls_within_days")
"""Fields that have a number of days."""
AGO: Mapping[str, str] = {
    "untouched_days": "contact_until", "touched_days": "contact_since", "silent_days": "seen_until",
    "seen_days": "seen_since",
}  # fmt: skip
"""What those that go back from today bound."""
NOBODY = "nobody"
"""In the place of an owner, with those who have neither owner nor team."""
MONEY = ("min_value", "max_value")
CHANCES = ("min_p", "max_p")
WHOSE = {"owner_id": re.compile("user_[0-9a-f]{32}"), "team_id": re.compile("team_[0-9a-f]{32}")}
"""What ids of each look like."""
SINCE = ("in_stage_since", "in_stage_until")
RARER = {
    *MONEY, *CHANCES, *SINCE, "satisfaction", "loyalty", "potential", "touched_days", "silent_days",
    "seen_days", "falls_within_days", "vip",
}  # fmt: skip
"""Filters that are shown where one of them is in use."""
WORDS = {
    "stage": "frame.stage_", "tier": "frame.tier_", "satisfaction": "parties.band_", "loyalty": "parties.band_",
    "potential": "parties.potential_", "sort": "parties.sort_",
}  # fmt: skip
"""Where the words for codes are."""


@dataclass(frozen=True)
class Asked:
    """What a list is asked for, as far as it makes sense."""

    fields: Mapping[str, str]
    """By the names of the form."""
    sent: Mapping[str, Any]
    """To the API."""
    currency: str

    @classmethod
    def of(cls, page: Page, currency: str | None) -> Self:
        """What the address of a page asks for; what makes no sense is left out."""
        given = {name: value.strip() for name, value in page.request.query_params.items()}
        fields: dict[str, str] = {}
        sent: dict[str, Any] = {}
        today = now().astimezone(page.zone).date()
        for name, codes in CHOICES.items():
            if given.get(name) in codes:
                fields[name] = sent[name] = given[name]
        if (several := SEVERAL.get(fields.get("stage", ""))) is not None:
            sent["stage"] = several
        for name in RANGES:
            if (days := _days(given.get(name))) is not None:
                fields[name] = str(days)
                if name in AGO:
                    sent[AGO[name]] = str(today - timedelta(days=days))
                else:
                    sent[name] = days
        for name in MONEY:
            if (minor := minor_read(given.get(name, ""), currency or "")) is not None:
                fields[name], sent[name] = given[name], int(minor)
        for name in CHANCES:
            if (share := share_of(given.get(name))) is not None:
                fields[name], sent[name] = given[name], str(share)
        for name in SINCE:
            if _is_day(given.get(name)):
                fields[name] = sent[name] = given[name]
        me = str((page.me or {}).get("id"))
        for name, ids in WHOSE.items():
            asked = me if name == "owner_id" and given.get(name) == "me" else given.get(name, "")
            if ids.fullmatch(asked):
                fields[name], sent[name] = given[name], asked
        if given.get("owner_id") == NOBODY:
            fields["owner_id"], sent["owned"] = NOBODY, "false"
        return cls(fields, sent, currency or given.get("currency", ""))

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """For an address."""
        return list(self.fields.items())

    @property
    def query(self) -> str:
        """The same as text."""
        return urlencode(self.pairs)

    @property
    def whose(self) -> list[str]:
        """The owner and the team that are asked for."""
        return [str(self.sent[name]) for name in WHOSE if name in self.sent]

    @property
    def of_others(self) -> str:
        """The same, but for whose it is, as text that more can be added to."""
        kept = urlencode([pair for pair in self.pairs if pair[0] not in WHOSE])
        return f"{kept}&" if kept else ""

    @property
    def filters(self) -> list[tuple[str, str]]:
        """What narrows the list, without its order."""
        return [(name, value) for name, value in self.pairs if name != "sort"]

    def without(self, name: str) -> str:
        """The address of the list with one filter less."""
        return "/parties?" + urlencode([pair for pair in self.pairs if pair[0] != name])

    @property
    def sort(self) -> str:
        """The order of the list."""
        return self.fields.get("sort", SORTS[0])

    @property
    def by_signs(self) -> bool:
        """Whether the list is of what parties did of themselves, and not of what passed between them and us."""
        return not SIGNS.isdisjoint({*self.fields, self.sort})

    def way(self, column: str) -> str | None:
        """Which way the list goes by a column; None where it goes by another one."""
        return HEADINGS[column].get(self.sort)

    def turned(self, column: str) -> str:
        """The order that the heading of a column leads to: its own or, where the list has that, the other way."""
        orders = [*HEADINGS[column]]
        return orders[-1] if self.sort == orders[0] else orders[0]

    def ordered(self, sort: str) -> str:
        """The address of the list in another order."""
        kept = [pair for pair in self.pairs if pair[0] != "sort"]
        return "/parties?" + urlencode(kept if sort == SORTS[0] else [*kept, ("sort", sort)])

    @property
    def more_open(self) -> bool:
        """Whether one of the rarer filters is in use."""
        return not self.fields.keys().isdisjoint(RARER)

    def said(self, t: Callable[..., str], f: Formats, names: Names, name: str, value: str) -> str:
        """One filter in words."""
        if name in RANGES:
            shown = t("parties.days", n=int(value))
        elif name in MONEY:
            shown = f.money(self.sent[name], self.currency or None)
        elif name in SINCE:
            shown = f.day(value)
        elif name == "owner_id":
            own = {"me": "parties.mine", NOBODY: "parties.unowned"}.get(value)
            shown = t(own) if own else names.person(value)
        elif name == "team_id":
            shown = names.person(value)
        elif name == "vip":
            return t("parties.f_vip")
        else:
            shown = t(f"{WORDS[name]}{value}") if name in WORDS else value
        return t("parties.chip", filter=t(f"parties.f_{name}", currency=self.currency), value=shown)

    def count_in(self, summary: Mapping[str, Any]) -> int | None:
        """How many there are, where stage and tier alone are asked for."""
        if {name for name, _ in self.filters} - {"stage", "tier"}:
            return None
        stage = self.fields.get("stage", "")
        stages = SEVERAL.get(stage, (stage,))
        return sum(
            int(cell["count"])
            for cell in summary["data"]
            if (not stage or cell["stage"] in stages) and self.fields.get("tier") in (None, cell["tier"])
        )


def _days(text: str | None) -> int | None:
    days = whole(text or "")
    return days if days is not None and days <= 3_650 else None


def _is_day(text: str | None) -> bool:
    try:
        date.fromisoformat(text or "")
    except ValueError:
        return False
    return True
