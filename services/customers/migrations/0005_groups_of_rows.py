"""Rows of files are kept by groups: what they share need not be an order."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.execute("ALTER TABLE import_job RENAME COLUMN after_order TO after_group")
    op.execute("ALTER TABLE import_line RENAME COLUMN order_id TO group_id")
