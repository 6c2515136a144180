"""All that passed with a party, in one statement that reads no more of each kind and identity than it shows."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import driver
from chassis.ids import outer
from chassis.timelines import Asked, Entry
from contracts.identity import Installation
from services.customers.domain.timelines import EntryKind, id_before
from services.customers.queries.histories import HELD, IN_ITS_TIME, MEMBERS


async def entries(
    session: AsyncSession, party_id: UUID, installation: Installation, asked: Asked, limit: int
) -> list[Entry]:
    """Entries of the party that an id leads to, the latest first."""
    if not _branches(asked):
        return []
    query, arguments = statement(party_id, installation, asked, limit)
    rows = await (await driver(session)).fetch(query, *arguments)
    return [Entry(service="customers", **row) for row in rows]


def statement(party_id: UUID, installation: Installation, asked: Asked, limit: int) -> tuple[str, list[object]]:
    """The one statement behind a page of a timeline, with its arguments."""
    arguments: list[object] = [installation.zone.key, party_id, asked.before_at]

    def place(value: object) -> str:
        arguments.append(value)
        return f"${len(arguments)}"

    branches = []
    for prefix, branch, wanted in _branches(asked):
        behind = place(id_before(prefix, asked.before_id))
        kinds = place(wanted) if "{kinds}" in branch else ""
        more = f"AND fact.department = ANY({place(list(asked.departments))})" if asked.departments else ""
        branches.append(branch.format(behind=behind, limit=int(limit), kinds=kinds, more=more))
    parts = "\nUNION ALL\n".join(f"SELECT * FROM ({branch}) AS branch" for branch in branches)
    query = f"""
        WITH member AS ({MEMBERS.format(asked="$2")}), held AS ({HELD})
        SELECT at, id, kind, recorded_at, jsonb_strip_nulls(detail) AS detail FROM ({parts}) AS entry
        ORDER BY at DESC, id COLLATE "C" DESC LIMIT {int(limit)}
    """
    return query, arguments


def _branches(asked: Asked) -> list[tuple[str, str, Sequence[str]]]:
    """What has entries that are wanted: the prefix of its ids, its part of the statement, which kinds of it."""
    return [
        (prefix, branch, wanted)
        for prefix, (kinds, branch) in _BRANCHES.items()
        if (wanted := asked.among(kinds)) and (prefix == "interaction" or not asked.departments)
    ]


def _detail(said: Mapping[str, str]) -> str:
    members = ", ".join(f"'{name}', {value}" for name, value in said.items())
    return f"jsonb_build_object({members})"


def _fact(prefix: str, table: str, said: Mapping[str, str]) -> str:
    id = outer(prefix, "fact.id")
    common = {
        "identity_id": outer("identity", "fact.identity_id"),
        "source": "fact.source",
        "source_id": "fact.source_id",
        "version": "fact.version",
        "versions": f"'/v1/{prefix}s/' || {id} || '/versions'",
        "withdrawn_at": "fact.withdrawn_at",
    }
    return f"""
        SELECT fact.occurred_at AS at, {id} AS id, '{prefix}' AS kind, fact.recorded_at, {_detail({**said, **common})}
            AS detail
        FROM held CROSS JOIN LATERAL (
            SELECT * FROM {table} AS fact
            WHERE {IN_ITS_TIME} AND (fact.occurred_at, fact.id) < ($3, {{behind}}) {{more}}
            ORDER BY fact.occurred_at DESC, fact.id DESC LIMIT {{limit}}
        ) AS fact
        ORDER BY fact.occurred_at DESC, fact.id DESC LIMIT {{limit}}
    """


_MONEY = {"amount_minor": "fact.amount_minor", "currency": "fact.currency", "channel": "fact.channel"}

_STEPS = f"""
    SELECT step.at, {outer("step", "step.id")} AS id, 'problem_' || step.step AS kind, step.recorded_at, {
    _detail(
        {
            "problem_id": outer("problem", "step.problem_id"),
            "identity_id": outer("identity", "step.identity_id"),
            "category": "step.category",
            "severity": "step.severity",
            "title": "step.title",
            "note": "step.note",
            "author_id": outer("user", "step.author_id"),
            "withdrawn_at": "step.withdrawn_at",
        }
    )
} AS detail
    FROM held CROSS JOIN LATERAL (
        SELECT taken.id, taken.occurred_at AS at, taken.kind AS step, taken.recorded_at, taken.note, taken.author_id,
            taken.problem_id, taken.identity_id, fact.category, fact.severity, fact.title, fact.withdrawn_at
        FROM problem_step AS taken JOIN problem AS fact ON fact.id = taken.problem_id
        WHERE taken.identity_id = held.identity_id AND {IN_ITS_TIME}
            AND (taken.occurred_at, taken.id) < ($3, {{behind}}) AND 'problem_' || taken.kind = ANY({{kinds}})
        ORDER BY taken.occurred_at DESC, taken.id DESC LIMIT {{limit}}
    ) AS step
    ORDER BY step.at DESC, step.id DESC LIMIT {{limit}}
"""
"""A step belongs to whom its problem is about, who had the identity when it was opened first."""

# Between two members of one party an identity did not change hands.
_IDENTIFIERS = f"""
    SELECT at, {outer("identity", "change.identity_id")} AS id, kind, recorded_at, {
    _detail({"scheme": "scheme", "system": "system", "value": "value", "from_day": "day"})
} AS detail
    FROM (
        SELECT holding.identity_id, 'identifier_added' AS kind, from_day AS day, assigned_at AS recorded_at,
            coalesce(from_day::timestamp AT TIME ZONE $1, assigned_at) AS at
        FROM member JOIN holding ON holding.party_id = member.id
        WHERE NOT EXISTS (
            SELECT FROM holding AS former JOIN member AS mine ON mine.id = former.party_id
            WHERE former.identity_id = holding.identity_id AND former.nth = holding.nth - 1
        )
        UNION ALL
        SELECT holding.identity_id, 'identifier_released', holding.until_day, later.assigned_at,
            holding.until_day::timestamp AT TIME ZONE $1
        FROM member JOIN holding ON holding.party_id = member.id
        JOIN holding AS later ON later.identity_id = holding.identity_id AND later.nth = holding.nth + 1
        WHERE NOT EXISTS (SELECT FROM member AS mine WHERE mine.id = later.party_id)
    ) AS change JOIN identity ON identity.id = change.identity_id
    WHERE scheme IS NOT NULL AND (at, change.identity_id) < ($3, {{behind}}) AND kind = ANY({{kinds}})
    ORDER BY at DESC, change.identity_id DESC LIMIT {{limit}}
"""

_MERGES = f"""
    SELECT at, {outer("merge", "touching.id")} AS id, kind, at AS recorded_at, {
    _detail({"party_id": outer("party", "touching.party_id"), "other_id": outer("party", "touching.other_id")})
} AS detail
    FROM (
        SELECT id, party_id, other_id, merged_at, unmerged_at FROM merge
        WHERE party_id = ANY(ARRAY(SELECT id FROM member))
        UNION
        SELECT id, party_id, other_id, merged_at, unmerged_at FROM merge
        WHERE other_id = ANY(ARRAY(SELECT id FROM member))
    ) AS touching
    CROSS JOIN LATERAL (VALUES ('merged', merged_at), ('unmerged', unmerged_at)) AS change(kind, at)
    WHERE (at, touching.id) < ($3, {{behind}}) AND kind = ANY({{kinds}})
    ORDER BY at DESC, touching.id DESC LIMIT {{limit}}
"""

_OWNERS = f"""
    SELECT changed_at AS at, {outer("ownership", "change.id")} AS id, 'owner_changed' AS kind,
        changed_at AS recorded_at, {
    _detail(
        {
            "party_id": outer("party", "change.party_id"),
            "owner_id": outer("user", "owner_id"),
            "team_id": outer("team", "team_id"),
            "note": "note",
            "reason": "reason",
            "version": "version",
        }
    )
} AS detail
    FROM member CROSS JOIN LATERAL (
        SELECT * FROM ownership WHERE ownership.party_id = member.id AND (changed_at, id) < ($3, {{behind}})
        ORDER BY changed_at DESC, id DESC LIMIT {{limit}}
    ) AS change
    ORDER BY changed_at DESC, change.id DESC LIMIT {{limit}}
"""

_BRANCHES: Mapping[str, tuple[Sequence[EntryKind], str]] = {
    "purchase": (
        [EntryKind.PURCHASE],
        _fact("purchase", "purchase", _MONEY | {"line_count": "jsonb_array_length(fact.lines)"}),
    ),
    "return": (
        [EntryKind.RETURN],
        _fact("return", "purchase_return", _MONEY | {"original_id": "fact.original_id"}),
    ),
    "interaction": (
        [EntryKind.INTERACTION],
        _fact(
            "interaction",
            "interaction",
            {
                "kind": "fact.kind",
                "department": "fact.department",
                "role": "fact.role",
                "channel": "fact.channel",
                "direction": "fact.direction",
                "attitude": "fact.attitude",
                "speed": "fact.speed",
                "quality": "fact.quality",
                "loss_reason": "fact.loss_reason",
                "competitor": "fact.competitor",
                "excerpt": "left(fact.text, 280)",
                "problem_id": outer("problem", "fact.problem_id"),
                "author_id": outer("user", "fact.author_id"),
            },
        ),
    ),
    "observation": (
        [EntryKind.OBSERVATION],
        _fact(
            "observation",
            "observation",
            {
                "aspect": "fact.aspect",
                "rating": "fact.rating",
                "certainty": "fact.certainty",
                "excerpt": "left(fact.text, 280)",
                "author_id": outer("user", "fact.author_id"),
            },
        ),
    ),
    "step": ([EntryKind.PROBLEM_OPENED, EntryKind.PROBLEM_SOLVED, EntryKind.PROBLEM_REOPENED], _STEPS),
    "identity": ([EntryKind.IDENTIFIER_ADDED, EntryKind.IDENTIFIER_RELEASED], _IDENTIFIERS),
    "merge": ([EntryKind.MERGED, EntryKind.UNMERGED], _MERGES),
    "ownership": ([EntryKind.OWNER_CHANGED], _OWNERS),
}
"""What a timeline is made of, by the prefix of its ids; within a branch the order is that of the ids."""
