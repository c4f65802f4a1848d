-- What calling out needs: claims of waiting calls, recorded answers, events, idempotency keys.

-- A call that runs is claimed until `lease_until`; each claim has a higher `fence`, and only the last
-- one may finish it.
ALTER TABLE outbox ADD COLUMN program TEXT;            -- given by the caller, else the card's
ALTER TABLE outbox ADD COLUMN priority INTEGER NOT NULL DEFAULT 2;
ALTER TABLE outbox ADD COLUMN reason TEXT;             -- of a deletion, and who asked for it
ALTER TABLE outbox ADD COLUMN requestor TEXT;
ALTER TABLE outbox ADD COLUMN fence BIGINT NOT NULL DEFAULT 0;
ALTER TABLE outbox ADD COLUMN lease_until BIGINT;
ALTER TABLE outbox ADD COLUMN may_have_arrived BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE outbox ADD COLUMN flow_id TEXT;            -- X-Src-Cx-Flow-Id, to be sent back
ALTER TABLE outbox ADD COLUMN ended_at BIGINT;
CREATE UNIQUE INDEX outbox_running ON outbox (card_id) WHERE state = 'running';
CREATE INDEX outbox_waiting ON outbox (priority, next_at) WHERE state = 'waiting';
CREATE INDEX outbox_by_state ON outbox (state, id);

ALTER TABLE cryptograms ADD COLUMN data_type TEXT;
ALTER TABLE cryptograms ADD COLUMN expires_at BIGINT;
CREATE INDEX cryptograms_by_expiry ON cryptograms (expires_at);

-- When anything was last heard of the card, whether it changed something or not.
ALTER TABLE cards ADD COLUMN heard_at BIGINT NOT NULL DEFAULT 0;
UPDATE cards SET heard_at = updated_at;
CREATE INDEX cards_by_hearing ON cards (heard_at);

-- Inputs that set a register and are neither notification nor registration: what Mastercard answered,
-- and deletions.
CREATE TABLE answers (
    id TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    card_id TEXT NOT NULL,
    card_order BIGINT NOT NULL,         -- the order in which the card's inputs were decided
    job_id TEXT,
    as_of BIGINT NOT NULL,              -- the time that counts for its rank
    received_at BIGINT NOT NULL,
    verdict TEXT NOT NULL,
    rule TEXT NOT NULL,
    flags TEXT NOT NULL,
    changes TEXT NOT NULL,
    trace TEXT NOT NULL,
    content BLOB,                       -- SEALED
    payment BLOB                        -- SEALED; wiped when the card ends
);
CREATE INDEX answers_by_card ON answers (card_id, card_order);

-- What the merchant's systems are told, in the order of commit: see src/store/events.rs for `horizon`.
CREATE TABLE events (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    at BIGINT NOT NULL,
    card_id TEXT NOT NULL,
    data TEXT NOT NULL,
    horizon BIGINT NOT NULL
);
CREATE INDEX events_by_horizon ON events (horizon);
CREATE INDEX events_by_card ON events (card_id, sequence);

-- Idempotency keys of the API. The answer never holds a secret: credentials are not repeated.
CREATE TABLE idempotency_keys (
    id TEXT NOT NULL PRIMARY KEY,       -- SHA-256 of API key and idempotency key
    request TEXT NOT NULL,              -- SHA-256 of the request
    status INTEGER NOT NULL,
    answer TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);
