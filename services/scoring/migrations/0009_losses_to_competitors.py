"""Finding who was lost to a competitor without reading all facts."""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.execute("CREATE INDEX fact_of_competitor ON fact (identity_id) WHERE detail = 'competitor'")
