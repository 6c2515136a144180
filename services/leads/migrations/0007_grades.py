"""Which event told a grade, so that it is taken back with its lead. Of captures before this nobody kept it."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.execute("ALTER TABLE lead_version ADD COLUMN grade_event_id uuid")
    op.execute("UPDATE lead_version SET grade_event_id = event_id WHERE change = 'graded'")
