"""Names of parties, and the indexes by which they and the beginnings of identifiers are found."""

from alembic import op

from chassis.migrations import index

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.execute("ALTER TABLE party ADD COLUMN name text, ADD COLUMN name_tokens tsvector")
    index("party_named", "party USING gin (name_tokens) WHERE name IS NOT NULL")
    index("identity_spelled", "identity (scheme, lower(value) text_pattern_ops) WHERE value IS NOT NULL")
    index("identity_phone_ending", "identity (reverse(value) text_pattern_ops) WHERE scheme = 'phone'")
