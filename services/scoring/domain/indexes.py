"""Satisfaction and loyalty: what people do, additive in log-odds and fading by half-lives."""

from enum import StrEnum


class Evidence(StrEnum):
    """What speaks for or against satisfaction or loyalty."""

    COMPLAINT = "complaint"
    PRAISE = "praise"
    PROBLEM_OPENED = "problem_opened"
    PROBLEM_SOLVED = "problem_solved"
    PROBLEM_OVERDUE = "problem_overdue"
    """A problem is open past the limit; it enters on the first day past it."""
    RETURN = "return"
    LATE_ANSWER = "late_answer"
    """Who turned to us was not reached in time; it enters on the first day past the limit."""
    RATED_WELL = "rated_well"
    """The stated attitude, speed and quality of a contact are above the middle of the scale on average."""
    RATED_POORLY = "rated_poorly"
    """They are below it."""
    REPEAT_PURCHASE = "repeat_purchase"
    """A purchase day after the first."""
    UPGRADE = "upgrade"
    """A purchase day that is worth more than every one before it."""
    REFERRAL = "referral"
    REFERRAL_CONVERTED = "referral_converted"
    PARTICIPATION = "participation"
    """A post, a reply or a reaction."""
    ANNIVERSARY = "anniversary"
    """Another whole year since the first purchase day, for whoever bought within the year before it."""
