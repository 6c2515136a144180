"""Who activated a rubric."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.execute("ALTER TABLE activation RENAME COLUMN active_from TO activated_at")
    op.execute("ALTER TABLE activation ADD activated_by text")
