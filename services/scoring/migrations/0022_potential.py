"""How promising whoever never bought is: what was last said of a lead of theirs."""

from alembic import op

from chassis.migrations import index

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    op.execute("ALTER TABLE party ADD COLUMN IF NOT EXISTS potential text")
    index("party_potential", "party (potential, value_minor, party_id) WHERE potential IS NOT NULL")
    # What runs beside it of the version before leaves a potential to whoever buys.
    op.execute("UPDATE installation SET grown_at = now()")
