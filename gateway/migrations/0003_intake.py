"""Whether the door takes anything in."""

from alembic import op

from chassis.db import OPERATING

revision = "0003"
down_revision = "0002"

INTAKE = """
CREATE TABLE intake (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    closed_at timestamptz,
    closed_by text
);
INSERT INTO intake DEFAULT VALUES
"""


def upgrade() -> None:
    for statement in (OPERATING + INTAKE).split(";"):
        if statement.strip():
            op.execute(statement)
