"""What waits for a receiver, in the order in which it is claimed, without what was delivered."""

from alembic import op

revision = "0011"
down_revision = "0010"

INDEXES = """
DROP INDEX webhook_delivery_webhook_id_next_at_idx;
CREATE INDEX ON webhook_delivery (webhook_id, id) WHERE state = 'waiting'
"""


def upgrade() -> None:
    for statement in INDEXES.split(";"):
        op.execute(statement)
