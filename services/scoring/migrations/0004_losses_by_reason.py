"""Lost parties by reason, the latest of each side by side."""

from alembic import op

revision = "0004"
down_revision = "0003"

STATEMENTS = """
DROP INDEX party_lost;
CREATE INDEX party_lost ON party (loss_reason, since, party_id) WHERE loss_reason IS NOT NULL
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        op.execute(statement)
