"""Lists by the last purchase or sign of interest."""

from chassis.migrations import index

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    index("party_seen", "party (greatest(last_day, last_sign_day), party_id) WHERE stage IS NOT NULL")
