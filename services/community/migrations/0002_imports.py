"""Imports: the files, how far each one is, and the rows that were not taken."""

from alembic import op

from chassis.imports import table

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    table.create_tables(op.execute)
