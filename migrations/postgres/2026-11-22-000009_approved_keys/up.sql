-- Which key stands for which name. A name that is seen first is recorded with its key; from then on
-- another key under it is refused until somebody approves it.

CREATE TABLE approved_keys (
    purpose TEXT NOT NULL,
    program TEXT NOT NULL,              -- '' for keys that are no program's
    kid TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    first_seen_at BIGINT NOT NULL,
    approved_at BIGINT,                 -- null while the first key stands
    approved_by TEXT,
    reason TEXT,
    PRIMARY KEY (purpose, program, kid)
);
