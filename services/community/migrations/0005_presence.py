"""Which processes run."""

from alembic import op

from chassis.db import PRESENCE

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    for statement in PRESENCE.split(";"):
        if statement.strip():
            op.execute(statement)
