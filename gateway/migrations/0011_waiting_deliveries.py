"""What waits for a receiver, in the order in which it is claimed, without what was delivered."""

from alembic import op

from chassis import migrations

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    migrations.index("webhook_delivery_waiting", "webhook_delivery (webhook_id, id) WHERE state = 'waiting'")
    op.execute("DROP INDEX webhook_delivery_webhook_id_next_at_idx")
