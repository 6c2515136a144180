"""Lists by status and by grade in the order of time, and counts without the rows."""

from alembic import op

revision = "0003"
down_revision = "0002"

OWN = """
DROP INDEX lead_by_status;
CREATE INDEX lead_by_status ON lead (status, occurred_at, id) WHERE withdrawn_at IS NULL;
CREATE INDEX lead_by_grade ON lead (grade, occurred_at, id) WHERE withdrawn_at IS NULL;
CREATE INDEX lead_counts ON lead (status, grade) WHERE withdrawn_at IS NULL
"""


def upgrade() -> None:
    for statement in OWN.split(";"):
        op.execute(statement)
