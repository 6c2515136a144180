"""Which processes run."""

from alembic import op

from chassis.db import PRESENCE

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    for statement in PRESENCE.split(";"):
        if statement.strip():
            op.execute(statement)
