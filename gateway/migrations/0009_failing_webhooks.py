"""How long a webhook's receiver has taken nothing, and what a webhook is called."""

from alembic import op

revision = "0009"
down_revision = "0008"

STATEMENTS = """
ALTER TABLE webhook ADD name text NOT NULL DEFAULT '';
ALTER TABLE webhook ADD failures int NOT NULL DEFAULT 0;
ALTER TABLE webhook ADD failing_since timestamptz
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        op.execute(statement)
