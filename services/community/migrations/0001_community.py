"""Members, groups, posts, reactions and referrals, and what is known of whose identity is whose."""

from alembic import op

from chassis import assignments, installation
from chassis.db import TABLES

revision = "0001"
down_revision = None

OWN = """
CREATE TABLE member (
    id uuid PRIMARY KEY,
    identity_id uuid NOT NULL,
    community text NOT NULL,
    source_id text NOT NULL,
    display_name text,
    bio text,
    joined_at timestamptz NOT NULL,
    left_at timestamptz,
    left_recorded_at timestamptz,
    linked_party_id uuid,
    linked_identity_id uuid,
    import_id uuid,
    fact_id uuid NOT NULL,
    version int NOT NULL DEFAULT 1,
    recorded_at timestamptz NOT NULL,
    joining_told_at timestamptz,
    joining_recorded_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    withdrawn_at timestamptz,
    CHECK (linked_party_id IS NULL OR linked_identity_id IS NULL)
);
CREATE UNIQUE INDEX member_in_community ON member (community, source_id) WHERE withdrawn_at IS NULL;
CREATE INDEX member_of_identity ON member (identity_id);
CREATE INDEX member_joined ON member (joined_at, id) WHERE withdrawn_at IS NULL;
CREATE INDEX member_joined_community ON member (community, joined_at, id) WHERE withdrawn_at IS NULL;
CREATE INDEX member_of_import ON member (import_id, id) WHERE import_id IS NOT NULL AND withdrawn_at IS NULL;

CREATE TABLE membership (
    fact_id uuid PRIMARY KEY,
    member_id uuid NOT NULL REFERENCES member,
    joined_at timestamptz NOT NULL,
    joining_recorded_at timestamptz NOT NULL,
    left_at timestamptz NOT NULL,
    left_recorded_at timestamptz NOT NULL
);
CREATE INDEX membership_of_member ON membership (member_id, joined_at, fact_id);

CREATE TABLE member_version (
    member_id uuid NOT NULL REFERENCES member,
    version int NOT NULL,
    display_name text,
    bio text,
    joined_at timestamptz NOT NULL,
    left_at timestamptz,
    linked_party_id uuid,
    linked_identity_id uuid,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (member_id, version)
);

CREATE TABLE community_group (
    id uuid PRIMARY KEY,
    community text NOT NULL,
    name text NOT NULL,
    folded text NOT NULL,
    access text NOT NULL CHECK (access IN ('open', 'closed')),
    version int NOT NULL DEFAULT 1,
    recorded_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX group_in_community ON community_group (community, folded);
CREATE INDEX group_recorded ON community_group (recorded_at, id);
CREATE INDEX group_recorded_community ON community_group (community, recorded_at, id);

CREATE TABLE group_version (
    group_id uuid NOT NULL REFERENCES community_group,
    version int NOT NULL,
    name text NOT NULL,
    access text NOT NULL,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (group_id, version)
);

CREATE TABLE group_member (
    id uuid PRIMARY KEY,
    group_id uuid NOT NULL REFERENCES community_group,
    member_id uuid NOT NULL REFERENCES member,
    joined_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    left_at timestamptz,
    left_recorded_at timestamptz
);
CREATE UNIQUE INDEX group_member_now ON group_member (group_id, member_id) WHERE left_at IS NULL;
CREATE INDEX group_joined ON group_member (group_id, joined_at, id);
CREATE INDEX group_of_member ON group_member (member_id);

CREATE TABLE post (
    id uuid PRIMARY KEY,
    member_id uuid NOT NULL REFERENCES member,
    identity_id uuid NOT NULL,
    community text NOT NULL,
    group_id uuid REFERENCES community_group,
    post_id uuid,
    in_reply_to text,
    text text NOT NULL,
    source text NOT NULL,
    source_id text,
    occurred_at timestamptz NOT NULL,
    import_id uuid,
    fact_id uuid NOT NULL,
    version int NOT NULL DEFAULT 1,
    recorded_at timestamptz NOT NULL,
    edited_at timestamptz,
    withdrawn_at timestamptz
);
CREATE UNIQUE INDEX post_in_source ON post (source_id, source) WHERE withdrawn_at IS NULL;
CREATE INDEX post_occurred ON post (occurred_at, id) WHERE withdrawn_at IS NULL;
CREATE INDEX post_in_community ON post (community, occurred_at, id) WHERE withdrawn_at IS NULL;
CREATE INDEX post_of_identity ON post (identity_id, occurred_at);
CREATE INDEX post_of_member ON post (member_id, occurred_at);
CREATE INDEX post_of_group ON post (group_id, occurred_at) WHERE group_id IS NOT NULL;
CREATE INDEX post_answered ON post (post_id, occurred_at) WHERE post_id IS NOT NULL;
CREATE INDEX post_of_import ON post (import_id, id) WHERE import_id IS NOT NULL AND withdrawn_at IS NULL;

CREATE TABLE post_version (
    post_id uuid NOT NULL REFERENCES post,
    version int NOT NULL,
    text text NOT NULL,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (post_id, version)
);

CREATE TABLE post_name (
    source text NOT NULL,
    source_id text NOT NULL,
    post_id uuid NOT NULL,
    PRIMARY KEY (source, source_id)
);

CREATE TABLE reaction (
    id uuid PRIMARY KEY,
    post_id uuid NOT NULL REFERENCES post,
    member_id uuid NOT NULL REFERENCES member,
    identity_id uuid NOT NULL,
    reaction text NOT NULL,
    source text NOT NULL,
    source_id text,
    occurred_at timestamptz NOT NULL,
    fact_id uuid NOT NULL,
    version int NOT NULL DEFAULT 1,
    recorded_at timestamptz NOT NULL,
    corrected_at timestamptz,
    withdrawn_at timestamptz
);
CREATE UNIQUE INDEX reaction_of_kind ON reaction (post_id, member_id, reaction) WHERE withdrawn_at IS NULL;
CREATE UNIQUE INDEX reaction_in_source ON reaction (source, source_id) WHERE withdrawn_at IS NULL;
CREATE INDEX reaction_of_identity ON reaction (identity_id, occurred_at);
CREATE INDEX reaction_of_member ON reaction (member_id);

CREATE TABLE reaction_version (
    reaction_id uuid NOT NULL REFERENCES reaction,
    version int NOT NULL,
    reaction text NOT NULL,
    occurred_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (reaction_id, version)
);

CREATE TABLE referral (
    id uuid PRIMARY KEY,
    code text NOT NULL,
    member_id uuid REFERENCES member,
    referrer_id uuid NOT NULL,
    referred_id uuid,
    source text NOT NULL,
    source_id text,
    occurred_at timestamptz NOT NULL,
    expires_at timestamptz,
    told_expires_at timestamptz,
    named_at timestamptz,
    converted_at timestamptz,
    amount_minor bigint CHECK (amount_minor >= 0),
    currency text,
    fact_id uuid NOT NULL,
    named_fact_id uuid,
    named_recorded_at timestamptz,
    converted_fact_id uuid,
    converted_recorded_at timestamptz,
    version int NOT NULL DEFAULT 1,
    recorded_at timestamptz NOT NULL,
    withdrawn_at timestamptz,
    CHECK ((amount_minor IS NULL) = (currency IS NULL))
);
CREATE UNIQUE INDEX referral_code ON referral (upper(code)) WHERE withdrawn_at IS NULL;
CREATE UNIQUE INDEX referral_in_source ON referral (source_id, source) WHERE withdrawn_at IS NULL;
CREATE INDEX referral_occurred ON referral (occurred_at, id) WHERE withdrawn_at IS NULL;
CREATE INDEX referral_of_referrer ON referral (referrer_id, occurred_at);
CREATE INDEX referral_of_referred ON referral (referred_id, named_at) WHERE referred_id IS NOT NULL;
CREATE INDEX referral_of_member ON referral (member_id, occurred_at, id) WHERE member_id IS NOT NULL
"""


def upgrade() -> None:
    for statement in (TABLES + OWN).split(";"):
        if statement.strip():
            op.execute(statement)
    installation.create_tables(op.execute)
    assignments.create_tables(op.execute)
