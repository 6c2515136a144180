"""How many parties stand where, kept as a sum of changes: nobody who writes standings waits for a row of it."""

from alembic import op

revision = "0012"
down_revision = "0011"

STATEMENTS = """
CREATE TABLE cell_change (
    stage text NOT NULL,
    tier text NOT NULL,
    count bigint NOT NULL,
    value_minor numeric NOT NULL
);
INSERT INTO cell_change
SELECT stage, tier, count(*), sum(value_minor) FROM party WHERE stage IS NOT NULL GROUP BY stage, tier
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        op.execute(statement)
