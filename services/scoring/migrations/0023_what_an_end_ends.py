"""What an end of overrides ends, and standings whose first day is that of the ruling which decided of it."""

from alembic import op

from chassis.migrations import index

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    op.execute("ALTER TABLE override ADD COLUMN IF NOT EXISTS ended uuid[]")
    index("override_set_at", "override (set_at)")
    # What runs beside it of the version before takes the first day of a stage from the present ruling alone.
    op.execute("UPDATE installation SET grown_at = now()")
