"""When somebody was declared lost, and why."""

from bisect import bisect_left, bisect_right

from contracts.loss import LossReason


class Declared:
    """Days on which somebody was declared lost, each with its reason."""

    __slots__ = ("days", "reasons")

    def __init__(self) -> None:
        self.days: list[int] = []
        self.reasons: list[LossReason] = []

    def before(self, day: int) -> "Declared":
        """Those on earlier days."""
        earlier, place = Declared(), bisect_left(self.days, day)
        earlier.days, earlier.reasons = self.days[:place], self.reasons[:place]
        return earlier

    def add(self, day: int, reason: LossReason) -> None:
        """One more, on no earlier day than those before; of a day counts the reason that the taxonomy has first."""
        if self.days and self.days[-1] == day:
            self.reasons[-1] = min(self.reasons[-1], reason, key=list(LossReason).index)
        else:
            self.days.append(day)
            self.reasons.append(reason)

    def last(self, until: int) -> tuple[int, LossReason] | None:
        """The last day up to one, and its reason."""
        index = bisect_right(self.days, until)
        return (self.days[index - 1], self.reasons[index - 1]) if index else None
