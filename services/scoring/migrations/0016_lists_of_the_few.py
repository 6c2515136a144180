"""Lists by value of those whom a treatment or a low index marks: few of very many were looked for among all."""

from chassis.migrations import index

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    # A standing that is written pays for the first alone, a third of what its row costs, as the others hold few.
    index("party_treated", "party (treatment, tier, value_minor, party_id) WHERE stage IS NOT NULL")
    index("party_dissatisfied", "party (value_minor, party_id) WHERE satisfaction_band = 'low'")
    index("party_disloyal", "party (value_minor, party_id) WHERE loyalty_band = 'low'")
