"""Who does what in the life of a policy, and whether a trial keeps its moves."""

from alembic import op

revision = "0008"
down_revision = "0007"

STATEMENTS = """
ALTER TABLE policy
    ADD COLUMN activated_at timestamptz,
    ADD COLUMN activated_by text,
    ADD COLUMN retired_by text;
CREATE UNIQUE INDEX policy_active ON policy ((true)) WHERE state = 'active';
CREATE INDEX policy_made ON policy (created_at, hash);

ALTER TABLE trial ADD COLUMN keep_moves boolean NOT NULL DEFAULT false
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        op.execute(statement)
