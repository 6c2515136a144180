"""When the stage of a party changes next, apart from its tier."""

from alembic import op

revision = "0003"
down_revision = "0002"

# Whoever stands somewhere is assessed again by the ruling that the migration before made.
STATEMENTS = """
ALTER TABLE party ADD COLUMN next_stage_at timestamptz;
CREATE INDEX party_at_risk ON party (next_stage_at, party_id) WHERE next_stage_at IS NOT NULL
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        op.execute(statement)
