"""Finding who was lost to a competitor without reading all facts."""

from chassis.migrations import index

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    index("fact_of_competitor", "fact (identity_id) WHERE detail = 'competitor'")
