"""Why a planned activation was refused when its instant came."""

from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.execute("ALTER TABLE planned_activation ADD COLUMN refused jsonb")
