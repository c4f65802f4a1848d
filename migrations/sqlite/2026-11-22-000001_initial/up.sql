-- Times are milliseconds since 1970, UTC. Columns marked SEALED hold AES-256-GCM, bound to their
-- row; the keys are outside the database.

-- What was received and acknowledged. `sequence` is the order of arrival.
CREATE TABLE deliveries (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    received_at BIGINT NOT NULL,
    source TEXT NOT NULL,
    response_host TEXT,
    body BLOB,                        -- SEALED; removed once it is no longer needed
    state TEXT NOT NULL CHECK (state IN ('waiting', 'held', 'done'))
);
CREATE INDEX deliveries_open ON deliveries (state, sequence);

-- The items of a delivery, each with its verdict and the rule that gave it.
CREATE TABLE notifications (
    id TEXT NOT NULL PRIMARY KEY,       -- delivery id, a dot, the item's index
    delivery_sequence BIGINT NOT NULL REFERENCES deliveries (sequence),
    delivery_id TEXT NOT NULL,
    item_index INTEGER NOT NULL,
    card_id TEXT,
    card_order BIGINT NOT NULL,         -- the order in which the card's inputs were decided
    received_at BIGINT NOT NULL,
    event_time BIGINT,
    reason TEXT,
    status TEXT,
    identity TEXT,                      -- keyed hash of the decrypted content
    unique_identity TEXT UNIQUE,        -- the same, of effective timed items only
    verdict TEXT NOT NULL,
    hold TEXT,
    rule TEXT NOT NULL,
    flags TEXT NOT NULL,
    changes TEXT NOT NULL,
    trace TEXT NOT NULL,
    content BLOB,                     -- SEALED
    payment BLOB,                     -- SEALED; wiped when the card ends
    decided_at BIGINT NOT NULL
);
CREATE INDEX notifications_by_arrival ON notifications (delivery_sequence, item_index);
CREATE INDEX notifications_by_card ON notifications (card_id, delivery_sequence, item_index);
CREATE INDEX notifications_by_verdict ON notifications (verdict, delivery_sequence, item_index);

-- Replays of items by operators: who, why, when, and what came of it.
CREATE TABLE replays (
    id TEXT NOT NULL PRIMARY KEY,
    notification_id TEXT NOT NULL REFERENCES notifications (id),
    at BIGINT NOT NULL,
    operator TEXT NOT NULL,
    reason TEXT NOT NULL,
    verdict TEXT NOT NULL,
    rule TEXT NOT NULL,
    changes TEXT NOT NULL
);
CREATE INDEX replays_by_notification ON replays (notification_id, at);

-- What the merchant's app said of its cards.
CREATE TABLE registrations (
    id TEXT NOT NULL PRIMARY KEY,
    card_id TEXT NOT NULL,
    card_order BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    program TEXT,
    consumer_reference TEXT,
    content BLOB NOT NULL,            -- SEALED
    payment BLOB,                     -- SEALED; wiped when the card ends
    changes TEXT NOT NULL
);
CREATE INDEX registrations_by_card ON registrations (card_id, card_order);

-- `state` is the card's registers with their ranks; the other columns are for finding it.
CREATE TABLE cards (
    id TEXT NOT NULL PRIMARY KEY,
    program TEXT,
    consumer_reference TEXT,
    status TEXT,
    state TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX cards_by_consumer ON cards (consumer_reference, id);
CREATE INDEX cards_by_program ON cards (program, id);

-- The full number of a living card; the row goes when the card ends.
CREATE TABLE tokens (
    card_id TEXT NOT NULL PRIMARY KEY REFERENCES cards (id),
    number_version INTEGER NOT NULL,
    number BLOB NOT NULL,             -- SEALED
    expiration_month TEXT,
    expiration_year TEXT,
    rank TEXT NOT NULL,
    received_at BIGINT NOT NULL,
    refreshed_at BIGINT NOT NULL,
    checkout_wanted TEXT,
    registered_number BLOB,              -- SEALED; what the merchant held before any notification
    UNIQUE (card_id, number_version)
);

-- The foreign key makes a cryptogram of another number impossible.
CREATE TABLE cryptograms (
    card_id TEXT NOT NULL PRIMARY KEY,
    number_version INTEGER NOT NULL,
    value BLOB NOT NULL,              -- SEALED
    stored_at BIGINT NOT NULL,
    FOREIGN KEY (card_id, number_version) REFERENCES tokens (card_id, number_version)
);

-- Calls that have become necessary, written in the transaction that made them so.
CREATE TABLE outbox (
    id TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    card_id TEXT NOT NULL,
    number_version INTEGER,
    notification_id TEXT,
    state TEXT NOT NULL,
    open_key TEXT UNIQUE,               -- set while the call waits or runs: one of a kind at a time
    attempts INTEGER NOT NULL,
    next_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    last_status INTEGER,
    last_reason TEXT
);
CREATE INDEX outbox_by_card ON outbox (card_id, created_at);
CREATE INDEX outbox_by_notification ON outbox (notification_id);

CREATE TABLE api_keys (
    name TEXT NOT NULL PRIMARY KEY,
    role TEXT NOT NULL,
    digest TEXT NOT NULL UNIQUE,        -- SHA-256 of the key: 256 random bits need no salt
    created_at BIGINT NOT NULL,
    revoked_at BIGINT
);
