"""Lists as people keep them for themselves."""

from alembic import op

revision = "0006"
down_revision = "0005"

VIEWS = """
CREATE TABLE kept_view (
    id uuid PRIMARY KEY,
    holder text NOT NULL,
    list text NOT NULL,
    name text NOT NULL,
    query text NOT NULL,
    changed_at timestamptz NOT NULL,
    UNIQUE (holder, list, name)
)
"""


def upgrade() -> None:
    op.execute(VIEWS)
