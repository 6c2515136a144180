"""By how much a model whose activation is planned may be worse than the one that decides when its instant comes.

Of what was planned before nobody knows whether it was forced: it takes place, as it would have.
"""

from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    op.execute("ALTER TABLE planned_activation ADD COLUMN IF NOT EXISTS margin double precision")
