"""Facts, calendars, assignments, standings, and what decides them."""

from alembic import op

from chassis.db import TABLES

revision = "0001"
down_revision = None

OWN = """
CREATE TABLE fact (
    fact_id uuid PRIMARY KEY,
    identity_id uuid NOT NULL,
    kind smallint NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    amount_minor bigint NOT NULL,
    currency text NOT NULL,
    replaces uuid,
    topic text NOT NULL,
    partition smallint NOT NULL,
    epoch int NOT NULL,
    seq bigint NOT NULL
);
CREATE INDEX fact_of_identity ON fact (identity_id);

CREATE TABLE withdrawal (
    fact_id uuid NOT NULL,
    identity_id uuid NOT NULL,
    by_event uuid NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (fact_id, identity_id)
);

CREATE TABLE calendar (
    identity_id uuid NOT NULL,
    year smallint NOT NULL,
    days bytea NOT NULL,
    PRIMARY KEY (identity_id, year)
) WITH (fillfactor = 80);

CREATE TABLE calendar_rebuilt (LIKE calendar INCLUDING ALL) WITH (fillfactor = 80);

CREATE TABLE assignment (
    identity_id uuid PRIMARY KEY,
    version bigint NOT NULL,
    parties uuid[] NOT NULL,
    from_days date[] NOT NULL
);

CREATE TABLE holder (
    party_id uuid NOT NULL,
    identity_id uuid NOT NULL,
    PRIMARY KEY (party_id, identity_id)
);
CREATE INDEX holder_of_identity ON holder (identity_id);

CREATE TABLE party (
    party_id uuid PRIMARY KEY,
    resolves_to uuid NOT NULL,
    resolution_version bigint NOT NULL DEFAULT 0,
    revision bigint NOT NULL DEFAULT 0,
    first_identity uuid,
    stage text,
    tier text,
    since date,
    value_minor bigint NOT NULL DEFAULT 0,
    spend_minor bigint NOT NULL DEFAULT 0,
    purchase_days int NOT NULL DEFAULT 0,
    first_day date,
    last_day date,
    next_change_at timestamptz,
    assessed_at timestamptz,
    ruling int
) WITH (fillfactor = 80);
CREATE INDEX party_due ON party (next_change_at, party_id) WHERE next_change_at IS NOT NULL;
CREATE INDEX party_standing ON party (stage, tier, value_minor, party_id) WHERE stage IS NOT NULL;
CREATE INDEX party_merged ON party (resolves_to) WHERE resolves_to <> party_id;

CREATE TABLE lived_move (
    party_id uuid NOT NULL,
    revision bigint NOT NULL,
    cause text NOT NULL,
    kind text NOT NULL,
    from_stage text,
    to_stage text,
    from_tier text,
    to_tier text,
    value_minor bigint NOT NULL,
    occurred_at timestamptz NOT NULL,
    assessed_at timestamptz NOT NULL,
    fact_id uuid,
    merged_into uuid,
    ruling int NOT NULL,
    PRIMARY KEY (party_id, revision)
);

CREATE TABLE policy (
    hash text PRIMARY KEY,
    document jsonb NOT NULL
);

CREATE TABLE cut_points (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    top_minor bigint NOT NULL,
    high_minor bigint NOT NULL,
    mid_minor bigint NOT NULL,
    currency text,
    customers int NOT NULL,
    fitted_at timestamptz NOT NULL
);

CREATE TABLE rate (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    reporting text NOT NULL,
    day date NOT NULL,
    currency text NOT NULL,
    rate text NOT NULL,
    added_at timestamptz NOT NULL
);
CREATE INDEX rate_of_currency ON rate (reporting, currency, day, id);

CREATE TABLE ruling (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    active_from timestamptz NOT NULL,
    reason text NOT NULL,
    policy text NOT NULL REFERENCES policy,
    cut_points int REFERENCES cut_points,
    last_rate int NOT NULL,
    currency text,
    applied_at timestamptz
);

CREATE TABLE installation (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    time_zone text NOT NULL,
    currency_fixed boolean NOT NULL DEFAULT false,
    rebuilding boolean NOT NULL DEFAULT false,
    refreshed_at timestamptz
);

CREATE TABLE watermark (
    source text PRIMARY KEY,
    reached timestamptz,
    checked_at timestamptz NOT NULL,
    held_by text
);

CREATE TABLE rebuild (
    id uuid PRIMARY KEY,
    state text NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'failed')),
    time_zone text NOT NULL,
    identities bigint NOT NULL DEFAULT 0,
    folded bigint NOT NULL DEFAULT 0,
    after_identity uuid,
    requested_at timestamptz NOT NULL,
    started_at timestamptz,
    finished_at timestamptz,
    error text
);
CREATE UNIQUE INDEX rebuild_open ON rebuild ((true)) WHERE state IN ('waiting', 'running');

CREATE TABLE touched_identity (
    identity_id uuid PRIMARY KEY
)
"""


def upgrade() -> None:
    for statement in (TABLES + OWN).split(";"):
        if statement.strip():
            op.execute(statement)
