"""How many requests a caller may make: a bucket that fills steadily, kept as the instant at which it is full again."""

import math
import re
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network

from msgspec import Struct

from contracts.problems import Problem
from gateway.domain.rights import Role

SPELLING = re.compile(r"([1-9]\d{0,5})/([1-9]\d{0,5})")


class Rate(Struct, frozen=True):
    """Requests per second in the long run, and how many may come at once."""

    per_s: int
    burst: int

    @classmethod
    def parse(cls, text: str) -> "Rate":
        """Read `per_s/burst`, such as `100/200`."""
        found = SPELLING.fullmatch(text)
        if found is None:
            raise ValueError("Write requests per second and burst, such as 100/200; each from 1 to 999999.")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.per_s}/{self.burst}"

    @property
    def window_s(self) -> int:
        """Whole seconds in which an empty bucket fills, at least 1."""
        return max(1, math.ceil(self.burst / self.per_s))


class Level(Struct, frozen=True):
    """What is left after a request was asked for."""

    allowed: bool
    left: int
    """Requests that may come at once now."""
    wait_s: int
    """Seconds until the next one may come where none is left; otherwise until all may come again."""


class RateLimited(Problem):
    """More requests came than this caller may make."""

    status = 429


def taken(full_at: float, rate: Rate, at: float) -> tuple[float, Level]:
    """Take one request from a bucket that is full at `full_at`: when it is full then, and what is left.

    Times are seconds of any steady clock. A request that is refused takes nothing.
    """
    fuller = max(full_at, at) + 1 / rate.per_s
    # Sums of fractions: a millionth of a request is none.
    left = rate.burst - (fuller - at) * rate.per_s + 1e-6
    if left < 0:
        return full_at, Level(False, 0, max(1, math.ceil(-left / rate.per_s)))
    return fuller, Level(True, int(left), math.ceil(fuller - at if left >= 1 else (1 - left) / rate.per_s))


def changed(full_at: float, was: Rate, rate: Rate, at: float) -> float:
    """When a bucket of one rate is full under another.

    As many requests are taken from it as before, though never more than it holds now.
    """
    return at + min(max(full_at - at, 0) * was.per_s, rate.burst) / rate.per_s


def spent(full_at: float, seconds: float, at: float) -> float:
    """When a bucket is full after requests that take so long to fill were let through elsewhere.

    It may owe what it does not hold, so that all processes together keep to the rate in the long run.
    """
    return max(full_at, at) + seconds


class Rates:
    """What people and keys may do by their roles, unless they have a rate of their own."""

    def __init__(self, of_role: Mapping[Role, Rate]) -> None:
        self._of_role = of_role
        # There are a few roles, and so a few sets of them.
        self._known: dict[frozenset[str], Rate] = {}

    def of(self, own: Rate | None, roles: frozenset[str]) -> Rate:
        """The rate of one's own; without it the most that one of the roles may."""
        if own is not None:
            return own
        rate = self._known.get(roles)
        if rate is None:
            may = (self._of_role[Role(role)] for role in roles)
            rate = self._known[roles] = max(may, key=lambda rate: (rate.per_s, rate.burst))
        return rate


def fields(name: str, rate: Rate, level: Level) -> tuple[tuple[bytes, bytes], tuple[bytes, bytes]]:
    """The headers that tell a client where it stands (draft-ietf-httpapi-ratelimit-headers-11 §3 and §4).

    The window of the policy is the time in which an empty bucket fills, so that quota over window is the rate.
    """
    return _policy(name, rate), (b"ratelimit", b'"%b";r=%d;t=%d' % (name.encode(), level.left, level.wait_s))


@lru_cache(1_024)
def _policy(name: str, rate: Rate) -> tuple[bytes, bytes]:
    return b"ratelimit-policy", b'"%b";q=%d;w=%d' % (name.encode(), rate.burst, rate.window_s)


def neighbourhood(address: str) -> str:
    """Who counts as one stranger: an IPv4 address, or the /64 of which an IPv6 host has every address."""
    try:
        host = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(host, IPv6Address):
        return str(host.ipv4_mapped or ip_network((host, 64), strict=False))
    return str(host)
