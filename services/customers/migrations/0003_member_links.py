"""Whom members of communities are linked to."""

from alembic import op

revision = "0003"
down_revision = "0002"

OWN = """
CREATE TABLE member_link (
    member_id uuid PRIMARY KEY,
    version int NOT NULL,
    merge_id uuid REFERENCES merge
)
"""


def upgrade() -> None:
    op.execute(OWN)
