"""How far the standing check of all standings has come, and what it found."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.execute("""
CREATE TABLE verification (
    sole boolean PRIMARY KEY DEFAULT true CHECK (sole),
    behind uuid NOT NULL,
    parties bigint NOT NULL,
    disagreements bigint NOT NULL,
    at timestamptz NOT NULL
)
""")
