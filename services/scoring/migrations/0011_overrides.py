"""What ends an override is a fact of its own, and so has a row of its own."""

from alembic import op

revision = "0011"
down_revision = "0010"

STATEMENTS = """
ALTER TABLE override
    DROP COLUMN ended_at,
    DROP COLUMN ended_by,
    ALTER COLUMN why DROP NOT NULL,
    ADD COLUMN ends uuid REFERENCES override,
    ADD CHECK ((ends IS NULL) = (value <> '') AND (ends IS NOT NULL OR why IS NOT NULL));
CREATE SEQUENCE override_place
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        op.execute(statement)
