"""Whom the identities of a party were ever assigned to."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.execute("CREATE INDEX assignment_told_of_party ON assignment_told USING gin (parties)")
