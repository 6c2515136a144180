"""The last contact of a party, and since when standings hold more than the version before writes."""

from alembic import op

from chassis.migrations import index

revision = "0019"
down_revision = "0018"

STATEMENTS = """
ALTER TABLE party ADD COLUMN IF NOT EXISTS last_contact_day date;
ALTER TABLE installation ADD COLUMN IF NOT EXISTS grown_at timestamptz
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        op.execute(statement)
    # A standing that is written pays a twentieth more for each of both. The second has what lists by value are narrowed
    # by most: that nobody of a stage fits is found in the index, and not in the rows of all who stand there.
    index("party_contacted", "party (last_contact_day, party_id) WHERE stage IS NOT NULL")
    index(
        "party_ranked",
        "party (stage, tier, value_minor, party_id) INCLUDE (last_contact_day, p, owner_id, team_id)"
        " WHERE stage IS NOT NULL",
        instead_of="party_standing",
    )
    # Not a ruling, which the version before would apply to everybody without what is new: it comes when that runs no
    # more. And last, as somebody of the version before may begin while the indexes are made.
    op.execute("UPDATE installation SET grown_at = now()")
