"""What became of lost customers who were called, beside those who were not."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence

import msgspec

from contracts.problems import Conflict, NotFound
from services.scoring.domain.reports.proportions import Comparison, Rate, compared, rate


class ProgrammeNotFound(NotFound):
    """There is no win-back programme with this id."""


class NobodyLost(Conflict):
    """There is nobody to win back."""


class Group(msgspec.Struct):
    """Lost customers that were treated alike."""

    parties: int = 0
    back: int = 0
    """Who bought again in time."""
    bought_minor: int = 0
    """What these bought in that time, in the reporting currency."""

    @property
    def rate(self) -> Rate:
        """The share that came back."""
        return rate(self.back, self.parties)


class WinBack:
    """Two groups of those who stood lost after a day, told apart before it is looked at who came back.

    Without a list, who was reached on one of the `contact_days` after that day was contacted, and coming back counts
    from the end of these days on. Who bought meanwhile is in neither group: nobody calls whoever is back already, so
    that to count them among those who were not called would hold their return against the calls (a landmark analysis,
    Anderson, Cain and Gelber 1983). With a list, whoever is on it was contacted, and coming back counts at once.
    """

    def __init__(self, lost_on: int, *, contact_days: int, within_days: int, listed: bool) -> None:
        self.lost_on = lost_on
        self.landmark = lost_on if listed else lost_on + contact_days
        self.until = self.landmark + within_days
        """The last day on which coming back counts."""
        self.contacted, self.others = Group(), Group()
        self.early = 0
        """Who came back before the groups were told apart."""

    def take(
        self,
        purchase_days: Sequence[int],
        gross: Mapping[int, int],
        reached: Sequence[int],
        *,
        on_list: bool | None = None,
    ) -> None:
        """One lost customer more; all days are ordinals, rising. `on_list` is None where there is no list."""
        later = purchase_days[bisect_right(purchase_days, self.lost_on) :]
        if later and later[0] <= self.landmark:
            self.early += 1
            return
        in_time = later[: bisect_right(later, self.until)]
        called = bisect_right(reached, self.lost_on) < bisect_right(reached, self.landmark)
        group = self.contacted if (called if on_list is None else on_list) else self.others
        group.parties += 1
        if in_time:
            group.back += 1
            group.bought_minor += sum(gross.get(day, 0) for day in in_time)

    @property
    def comparison(self) -> Comparison | None:
        """Those who were contacted beside the others; None where one of the groups is empty."""
        return compared(self.contacted.back, self.contacted.parties, self.others.back, self.others.parties)
