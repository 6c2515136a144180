"""Webhooks: signatures, when a delivery is tried again, and where none may go."""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from contracts.problems import Conflict, Invalid, NotFound

PREFIX = "whsec_"
TRIED_FOR = timedelta(days=3)
"""How long a delivery is tried before its webhook is paused."""
PAUSES_S = (5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 28_800)
"""Seconds between tries; the last one again and again."""
FAILURES = 10
"""Tries in a row that must have failed before a webhook is paused for its receiver: what one message has in a day."""
FAILING = timedelta(hours=72)
"""How long they must have failed: a receiver that is away for a weekend comes back to what waits."""
TOLD_AFTER = timedelta(hours=24)
"""After so long a notice tells that a webhook is failing, while it is still tried."""
LONGEST_WAIT_S = 86_400
"""What a receiver may ask for by Retry-After, at most."""
NAT64 = ip_network("64:ff9b::/96")

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class WebhookNotFound(NotFound):
    """There is no such webhook."""


class WebhookEnded(Conflict):
    """A webhook that is not active delivers nothing."""


class ForbiddenTarget(Invalid):
    """A webhook may not go there."""


def signature(secret: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """The signature of a message (Standard Webhooks, §Signature scheme)."""
    signed = b"%s.%d.%s" % (message_id.encode(), timestamp, body)
    return "v1," + base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()


def secret_text(secret: bytes) -> str:
    """A secret as receivers configure it."""
    return PREFIX + base64.b64encode(secret).decode()


def secret_bytes(text: str) -> bytes:
    """What is signed with."""
    return base64.b64decode(text.removeprefix(PREFIX))


def pause_s(attempts: int, jitter: float, asked: str | None, at: datetime) -> float:
    """Seconds until the next try after so many; `jitter` is 0 to 1, `asked` what the receiver said by Retry-After."""
    own = PAUSES_S[min(attempts, len(PAUSES_S)) - 1] * (0.8 + 0.4 * jitter)
    return max(own, min(_asked_s(asked, at), LONGEST_WAIT_S))


def _asked_s(asked: str | None, at: datetime) -> float:
    if asked is None:
        return 0.0
    if asked.strip().isdecimal():
        return float(asked.strip()[:9])
    try:
        return max(0.0, (parsedate_to_datetime(asked) - at).total_seconds())
    except (ValueError, TypeError):
        return 0.0


@dataclass(frozen=True, slots=True)
class Endurance:
    """How much failure of a receiver is borne before nobody calls it any more."""

    failures: int = FAILURES
    lasting: timedelta = FAILING

    def ends(self, failures: int, since: datetime, at: datetime) -> bool:
        """Whether so many tries in a row, of which the first was at `since`, are too much: both bounds are reached."""
        return failures >= self.failures and at - since >= self.lasting


def notice_of(failures: int, since: datetime, error: str | None) -> str:
    """Why a webhook was paused, for whoever has to do something about it."""
    last = f", the last one with: {error}" if error else ""
    return (
        f"{failures} tries in a row have failed since {since:%Y-%m-%d %H:%M} UTC{last}."
        " Nothing is lost; resume it once the receiver takes messages again."
    )


def warning_of(failures: int, since: datetime | None, at: datetime, before: str | None = None) -> str | None:
    """What is told of a webhook that is still tried although its receiver takes nothing, and the notice `before` it.

    That notice alone, or none, where it has taken nothing for a short time.
    """
    if since is None or at - since < TOLD_AFTER:
        return before
    began = f"{since:%Y-%m-%d %H:%M}"
    if before is None:
        return (
            f"The receiver has taken nothing since {began} UTC; failed tries: {failures}."
            " It is still called; if that goes on, the webhook is paused."
        )
    return (
        f"The receiver has taken nothing since {began} UTC; failed tries: {failures}."
        f" It is still called; if that goes on, the webhook is paused. {before}"
    )


@dataclass(frozen=True, slots=True)
class Allowed:
    """What inside is open to webhooks: names of hosts, and networks."""

    hosts: frozenset[str] = frozenset()
    networks: Sequence[Network] = ()

    @classmethod
    def parse(cls, text: str) -> "Allowed":
        """From a list with commas."""
        hosts, networks = set(), []
        for each in filter(None, map(str.strip, text.split(","))):
            try:
                networks.append(ip_network(each))
            except ValueError:
                hosts.add(each.lower())
        return cls(frozenset(hosts), networks)

    def lists(self, host: str, address: Address) -> bool:
        """Whether a host or its address is listed."""
        return host.lower() in self.hosts or any(plain(address) in network for network in self.networks)


def plain(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one that only carries it (mapped, NAT64, 6to4)."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
        if address.sixtofour is not None:
            return address.sixtofour
    return address


def is_public(address: Address) -> bool:
    """Whether an address is one of the internet: not private, shared, local to link or machine, multicast, reserved."""
    inner = plain(address)
    if isinstance(inner, IPv6Address) and inner.is_site_local:
        return False
    return inner.is_global and not inner.is_multicast and not inner.is_reserved and not inner.is_unspecified


def check_url(url: str, allowed: Allowed) -> None:
    """Raise `ForbiddenTarget` for what could never be called, before any name is resolved."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise ForbiddenTarget("This is no address of a receiver.") from None
    if parts.scheme not in ("http", "https") or not host or parts.username or parts.password or parts.fragment:
        raise ForbiddenTarget("A receiver has an address such as https://example.com/hooks, without a user in it.")
    literal = literal_of(host)
    if literal is None and host.replace(".", "").isdigit():
        raise ForbiddenTarget("An address in digits is written as four numbers, such as 192.0.2.1.")
    if literal is not None:
        check_addresses(parts.scheme, host, [literal], allowed)
    elif parts.scheme == "http" and host.lower() not in allowed.hosts and not allowed.networks:
        raise ForbiddenTarget("A receiver is called by https.")


def check_addresses(scheme: str, host: str, addresses: Iterable[Address], allowed: Allowed) -> None:
    """Raise `ForbiddenTarget` unless every address of a host may be called."""
    for address in addresses:
        if allowed.lists(host, address):
            continue
        if not is_public(address):
            raise ForbiddenTarget("The receiver is inside a network that webhooks may not reach.")
        if scheme != "https":
            raise ForbiddenTarget("A receiver is called by https.")


def literal_of(host: str) -> Address | None:
    """The address that a host is, where it is no name."""
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        return None
