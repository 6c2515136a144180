CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY (CACHE 1) PRIMARY KEY,
    event_id uuid NOT NULL,
    topic text NOT NULL,
    key text NOT NULL,
    key_hash int NOT NULL,
    type text NOT NULL,
    payload bytea,
    occurred_at timestamptz NOT NULL
);

CREATE TABLE event_stream (
    topic text NOT NULL,
    partition int NOT NULL,
    partitions int NOT NULL,
    epoch int NOT NULL DEFAULT 1,
    last_seq bigint NOT NULL DEFAULT 0,
    published_seq bigint NOT NULL DEFAULT 0,
    published_offset bigint NOT NULL DEFAULT -1,
    PRIMARY KEY (topic, partition)
) WITH (fillfactor = 50);

CREATE TABLE sequencing (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    sequenced_until timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL
);
INSERT INTO sequencing (sequenced_until, recorded_at) VALUES ('epoch', 'epoch');

CREATE TABLE event_log (
    topic text NOT NULL,
    partition int NOT NULL,
    epoch int NOT NULL,
    seq bigint NOT NULL,
    event_id uuid NOT NULL,
    key text NOT NULL,
    type text NOT NULL,
    payload bytea,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (topic, partition, epoch, seq, recorded_at)
) PARTITION BY RANGE (recorded_at);

CREATE TABLE consumer_offset (
    consumer text NOT NULL,
    topic text NOT NULL,
    partition int NOT NULL,
    next_offset bigint NOT NULL DEFAULT 0,
    epoch int NOT NULL DEFAULT 1,
    seq bigint NOT NULL DEFAULT 0,
    unreadable int NOT NULL DEFAULT 0,
    stopped_reason text,
    stopped_epoch int,
    stopped_seq bigint,
    PRIMARY KEY (consumer, topic, partition)
) WITH (fillfactor = 50);

CREATE TABLE consumer_member (
    consumer text NOT NULL,
    member text NOT NULL,
    seen_at timestamptz NOT NULL,
    PRIMARY KEY (consumer, member)
);

CREATE TABLE dead_letter (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    consumer text NOT NULL,
    topic text NOT NULL,
    partition int NOT NULL,
    "offset" bigint NOT NULL,
    key text,
    value bytea,
    error_class text NOT NULL,
    error text NOT NULL,
    attempts int NOT NULL DEFAULT 1,
    first_failed_at timestamptz NOT NULL,
    status text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'requeued', 'discarded')),
    note text
);
CREATE INDEX ON dead_letter (consumer, topic, partition, "offset");

CREATE TABLE idempotency_key (
    actor text NOT NULL,
    key text NOT NULL,
    request text NOT NULL,
    body_hash bytea NOT NULL,
    status int NOT NULL,
    headers jsonb NOT NULL,
    body bytea NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (actor, key)
);
CREATE INDEX ON idempotency_key (created_at);
