"""Pairs of identities seen together, what they say about parties, the rules for that, and possible duplicates."""

from alembic import op

revision = "0007"
down_revision = "0006"

OWN = """
ALTER TABLE merge
    ADD COLUMN kind text NOT NULL DEFAULT 'person' CHECK (kind IN ('person', 'automatic')),
    ADD COLUMN merged_by text,
    ADD COLUMN unmerged_by text;
DROP INDEX merge_active;
CREATE UNIQUE INDEX merge_active ON merge (party_id, other_id, kind) WHERE unmerged_at IS NULL;

CREATE TABLE told_apart (
    party_id uuid NOT NULL REFERENCES party,
    other_id uuid NOT NULL REFERENCES party,
    told_at timestamptz NOT NULL,
    told_by text,
    PRIMARY KEY (party_id, other_id),
    CHECK (party_id < other_id)
);

ALTER TABLE identity ADD COLUMN compared boolean NOT NULL DEFAULT false;
CREATE INDEX identity_to_compare ON identity (id) WHERE scheme IS NOT NULL AND NOT compared;

CREATE TABLE likeness (
    identity_id uuid PRIMARY KEY,
    key text NOT NULL
);
CREATE INDEX likeness_of_key ON likeness (key, identity_id);

CREATE TABLE pair_told (
    one_id uuid NOT NULL,
    two_id uuid NOT NULL,
    fact_id uuid NOT NULL,
    service text NOT NULL,
    what text NOT NULL,
    source text,
    one_given text,
    two_given text,
    occurred_at timestamptz NOT NULL,
    told_at timestamptz NOT NULL,
    withdrawn_at timestamptz,
    PRIMARY KEY (one_id, two_id, fact_id),
    CHECK (one_id < two_id)
);
CREATE INDEX pair_told_by_fact ON pair_told (fact_id) WHERE withdrawn_at IS NULL;

CREATE TABLE pair_to_decide (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    one_id uuid NOT NULL,
    two_id uuid
);

CREATE TABLE seen_together (
    one_id uuid NOT NULL,
    two_id uuid NOT NULL,
    one_kind text NOT NULL,
    two_kind text NOT NULL,
    PRIMARY KEY (one_id, two_id)
);
CREATE INDEX seen_together_two ON seen_together (two_id);

CREATE TABLE shared_identity (
    identity_id uuid PRIMARY KEY,
    claims int NOT NULL,
    since timestamptz NOT NULL
);

CREATE TABLE tie (
    party_id uuid NOT NULL REFERENCES party,
    other_id uuid NOT NULL REFERENCES party,
    one_id uuid NOT NULL,
    two_id uuid NOT NULL,
    kind text NOT NULL,
    obstacle text,
    score int NOT NULL,
    PRIMARY KEY (party_id, other_id, one_id, two_id, kind)
);
CREATE INDEX tie_of_pair ON tie (one_id, two_id);
CREATE INDEX tie_of_two ON tie (two_id);

CREATE TABLE candidate (
    id uuid PRIMARY KEY,
    party_id uuid NOT NULL REFERENCES party,
    other_id uuid NOT NULL REFERENCES party,
    status text NOT NULL CHECK (status IN ('open', 'accepted', 'dismissed')),
    score int NOT NULL,
    kinds text[] NOT NULL,
    opened_at timestamptz NOT NULL,
    decided_at timestamptz,
    decided_by text,
    decided_kinds text[] NOT NULL DEFAULT '{}',
    note text,
    CHECK (party_id < other_id)
);
CREATE UNIQUE INDEX candidate_of_parties ON candidate (party_id, other_id);
CREATE INDEX candidate_of_other ON candidate (other_id);
CREATE INDEX candidate_queue ON candidate (status, score, id);

CREATE TABLE duplicate_rules (
    version int PRIMARY KEY,
    content_hash text NOT NULL,
    rules jsonb NOT NULL,
    activated_at timestamptz NOT NULL,
    activated_by text NOT NULL,
    pairs int NOT NULL,
    pairs_done int NOT NULL DEFAULT 0,
    after_one uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    after_two uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    finished_at timestamptz
)
"""


def upgrade() -> None:
    for statement in OWN.split(";"):
        op.execute(statement)
