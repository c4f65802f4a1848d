-- The audit, holds that keep a card from purge and erasure, and erasures.

-- One record an act, in one chain for each process that writes: `hash` is a keyed hash of all other
-- columns, `previous` the hash of the record before it. Nothing here is changed, and nothing deleted
-- that is not older than 12 months.
CREATE TABLE audit (
    writer TEXT NOT NULL,               -- one start of a process
    place BIGINT NOT NULL,              -- 1 and on
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    origin TEXT NOT NULL,
    act TEXT NOT NULL,
    object TEXT NOT NULL,
    outcome TEXT NOT NULL,
    details TEXT NOT NULL,
    previous TEXT NOT NULL,
    hash TEXT NOT NULL,                 -- with the id of its key
    PRIMARY KEY (writer, place)
);
CREATE INDEX audit_by_time ON audit (at, writer, place);

CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'an audit record is not changed');
END;
CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit
WHEN OLD.at > (unixepoch() - 366 * 86400) * 1000
BEGIN
    SELECT RAISE(ABORT, 'an audit record is kept for 12 months');
END;

-- Where each chain ends. Its row's lock makes a writer's transactions take their places one by one.
CREATE TABLE audit_writers (
    writer TEXT NOT NULL PRIMARY KEY,
    place BIGINT NOT NULL,
    head TEXT NOT NULL,
    at BIGINT NOT NULL
);
CREATE INDEX audit_writers_by_time ON audit_writers (at);

-- Cards that purge and erasure leave alone.
CREATE TABLE card_holds (
    card_id TEXT NOT NULL PRIMARY KEY REFERENCES cards (id),
    reason TEXT NOT NULL,
    at BIGINT NOT NULL
);

-- Erasures that were asked for; `erased_at` is set once nothing is left of the card but its mark.
CREATE TABLE erasures (
    card_id TEXT NOT NULL PRIMARY KEY REFERENCES cards (id),
    asked_at BIGINT NOT NULL,
    erased_at BIGINT
);
CREATE INDEX erasures_open ON erasures (asked_at) WHERE erased_at IS NULL;

-- What purge looks for.
CREATE INDEX deliveries_with_body ON deliveries (received_at) WHERE body IS NOT NULL;
CREATE INDEX notifications_by_decision ON notifications (decided_at);
CREATE INDEX answers_by_receipt ON answers (received_at);
CREATE INDEX events_by_time ON events (at);
CREATE INDEX outbox_by_end ON outbox (ended_at) WHERE ended_at IS NOT NULL;
