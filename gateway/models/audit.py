"""What is shown of the audit trail."""

from enum import StrEnum
from typing import Self

from chassis.fields import Shown, TeamId
from gateway.domain.audit import Kind, Link, instant


class Order(StrEnum):
    """Which rows come first."""

    LATEST = "latest"
    OLDEST = "oldest"


class AuditRow(Shown):
    """A row of the audit trail: what its hash is made of, as it is made of it."""

    seq: int
    at: str
    """To the microsecond, in UTC."""
    kind: Kind
    who: str
    """`key_…`, `user_…`, `nobody` where it may be anybody, `gateway` where rows were let go."""
    team_id: TeamId | None
    operation: str
    """The operation's id in the API's document."""
    method: str
    path: str
    ids: list[str]
    """Ids in the address, and of what was made; where rows were let go, number and hash of the last one."""
    query: str
    outcome: int
    """The status of the answer."""
    address: str
    request_id: str
    requests: int
    """So many readings that were alike within a second are told by this row."""
    previous: str
    """The hash of the row before, in hexadecimal digits."""
    hash: str

    @classmethod
    def of(cls, link: Link) -> Self:
        """A row as it is shown."""
        each = link.entry
        return cls(
            seq=link.seq,
            at=instant(each.at),
            kind=each.kind,
            who=each.who,
            team_id=each.team_id,
            operation=each.operation,
            method=each.method,
            path=each.path,
            ids=list(each.ids),
            query=each.query,
            outcome=each.outcome,
            address=each.address,
            request_id=each.request_id,
            requests=each.requests,
            previous=link.previous.hex(),
            hash=link.hash.hex(),
        )
