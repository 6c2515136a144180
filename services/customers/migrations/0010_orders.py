"""What the order must not decide: facts taken back before they came, owners that follow from merges, likeness."""

from alembic import op

revision = "0010"
down_revision = "0009"

OWN = """
CREATE TABLE fact_taken_back (fact_id uuid PRIMARY KEY);
INSERT INTO fact_taken_back SELECT DISTINCT fact_id FROM pair_told WHERE withdrawn_at IS NOT NULL;

ALTER TABLE party_owner ADD COLUMN said boolean NOT NULL DEFAULT true;

ALTER TABLE duplicate_rules ADD COLUMN after_alike uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000'
"""


def upgrade() -> None:
    for statement in OWN.split(";"):
        op.execute(statement)
