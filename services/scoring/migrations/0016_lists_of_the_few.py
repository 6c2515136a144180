"""Lists by value of those whom a treatment or a low index marks: few of very many were looked for among all."""

from alembic import op

revision = "0016"
down_revision = "0015"

# A standing that is written pays for the first alone, a third of what its row costs, as the others hold few.
STATEMENTS = """
CREATE INDEX party_treated ON party (treatment, tier, value_minor, party_id) WHERE stage IS NOT NULL;
CREATE INDEX party_dissatisfied ON party (value_minor, party_id) WHERE satisfaction_band = 'low';
CREATE INDEX party_disloyal ON party (value_minor, party_id) WHERE loyalty_band = 'low'
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        op.execute(statement)
