"""By how much a model whose activation is planned may be worse than the one that decides when its instant comes."""

from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    op.execute("ALTER TABLE planned_activation ADD COLUMN IF NOT EXISTS margin double precision")
