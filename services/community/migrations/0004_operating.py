"""What operators say of a consumer and of a dead letter: that it is paused, and who closed it when."""

from alembic import op

from chassis.db import OPERATING

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    for statement in OPERATING.split(";"):
        if statement.strip():
            op.execute(statement)
