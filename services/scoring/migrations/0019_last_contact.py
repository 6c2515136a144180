"""The last contact of a party, and since when standings hold more than the version before writes."""

from alembic import op

from chassis.migrations import index

revision = "0019"
down_revision = "0018"

# Not a ruling, which the version before would apply to everybody without what is new: it comes when that runs no more.
STATEMENTS = """
ALTER TABLE party ADD COLUMN last_contact_day date;
ALTER TABLE installation ADD COLUMN grown_at timestamptz;
UPDATE installation SET grown_at = now()
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        op.execute(statement)
    index("party_contacted", "party (last_contact_day, party_id) WHERE stage IS NOT NULL")
