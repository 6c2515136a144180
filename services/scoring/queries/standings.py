"""Standings: bulk writes of what was decided, and reads of what stands."""

from collections.abc import Sequence

from services.scoring.queries.rulings import Connection


async def write_standings(connection: Connection, rows: Sequence[tuple[object, ...]]) -> None:
    """Store how locked parties stand."""
    await connection.execute(_WRITE, *map(list, zip(*rows, strict=True)))


async def append_moves(connection: Connection, rows: Sequence[tuple[object, ...]]) -> None:
    """Keep what was announced."""
    await connection.copy_records_to_table("lived_move", records=rows, columns=_MOVE)


_MOVE = [
    "party_id", "revision", "cause", "kind", "from_stage", "to_stage", "from_tier", "to_tier", "value_minor",
    "occurred_at", "assessed_at", "fact_id", "merged_into", "ruling",
]  # fmt: skip

_WRITE = """
UPDATE party SET
    resolves_to = new.resolves_to, resolution_version = new.resolution_version, revision = new.revision,
    first_identity = new.first_identity, stage = new.stage, tier = new.tier, since = new.since,
    value_minor = new.value_minor, spend_minor = new.spend_minor, purchase_days = new.purchase_days,
    first_day = new.first_day, last_day = new.last_day, next_change_at = new.next_change_at,
    assessed_at = new.assessed_at, ruling = new.ruling
FROM unnest(
    $1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::uuid[], $6::text[], $7::text[], $8::date[], $9::bigint[],
    $10::bigint[], $11::int[], $12::date[], $13::date[], $14::timestamptz[], $15::timestamptz[], $16::int[]
) AS new(
    party_id, resolves_to, resolution_version, revision, first_identity, stage, tier, since, value_minor,
    spend_minor, purchase_days, first_day, last_day, next_change_at, assessed_at, ruling
)
WHERE party.party_id = new.party_id
"""
