"""What an outside issuer published last, for processes that start while it is away."""

from alembic import op

revision = "0012"
down_revision = "0011"

TABLE = """
CREATE TABLE issuer_document (
    url text PRIMARY KEY,
    content text NOT NULL,
    got_at timestamptz NOT NULL
)
"""


def upgrade() -> None:
    op.execute(TABLE)
