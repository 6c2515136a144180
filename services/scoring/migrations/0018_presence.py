"""Which processes run."""

from alembic import op

from chassis.db import PRESENCE

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    for statement in PRESENCE.split(";"):
        if statement.strip():
            op.execute(statement)
