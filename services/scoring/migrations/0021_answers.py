"""A purchase answers who asked, and a cart waits for no answer: everybody is assessed anew."""

from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    op.execute("UPDATE installation SET grown_at = now()")
