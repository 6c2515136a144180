"""Who fits and activates models, and when one was sought by itself last. Which one is active, the ruling tells."""

from alembic import op

revision = "0010"
down_revision = "0009"

STATEMENTS = """
ALTER TABLE model
    DROP COLUMN state,
    ADD COLUMN fitted_by text,
    ADD COLUMN activated_at timestamptz,
    ADD COLUMN activated_by text;

CREATE TABLE fitting (
    sole boolean PRIMARY KEY DEFAULT true CHECK (sole),
    tried_at timestamptz NOT NULL,
    enough boolean NOT NULL
)
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        op.execute(statement)
