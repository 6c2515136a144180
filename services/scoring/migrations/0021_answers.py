"""A purchase answers who asked, and a cart waits for no answer: everybody is assessed anew."""

from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    op.execute(
        "INSERT INTO ruling (active_from, reason, policy, model, cut_points, last_rate, currency)"
        " SELECT active_from, 'rebuild', policy, model, cut_points, last_rate, currency FROM ruling"
        " ORDER BY id DESC LIMIT 1"
    )
