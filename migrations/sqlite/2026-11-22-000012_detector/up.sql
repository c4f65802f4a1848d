-- What cards are found by of which something seems to have been missed, written with each decision.

-- When the token of an ACTIVE card ends, and when the other side last told of it.
ALTER TABLE cards ADD COLUMN token_ends_at BIGINT;
ALTER TABLE cards ADD COLUMN token_told_at BIGINT NOT NULL DEFAULT 0;
-- Since when it is suspended, lacks a cryptogram that is due, has masked digits that are not its token's.
ALTER TABLE cards ADD COLUMN suspended_since BIGINT;
ALTER TABLE cards ADD COLUMN cryptogram_due_since BIGINT;
ALTER TABLE cards ADD COLUMN digits_disagree_since BIGINT;
-- Whether the columns above are written: of cards from before this step a running service does it.
ALTER TABLE cards ADD COLUMN signs_noted BOOLEAN NOT NULL DEFAULT FALSE;
CREATE INDEX cards_by_token_end ON cards (token_ends_at, id, token_told_at)
    WHERE token_ends_at IS NOT NULL;
CREATE INDEX cards_suspended ON cards (suspended_since, id) WHERE suspended_since IS NOT NULL;
CREATE INDEX cards_without_cryptogram ON cards (cryptogram_due_since, id)
    WHERE cryptogram_due_since IS NOT NULL;
CREATE INDEX cards_disagreeing ON cards (digits_disagree_since, id)
    WHERE digits_disagree_since IS NOT NULL;
CREATE INDEX cards_without_signs ON cards (id) WHERE NOT signs_noted;

-- How many items were decided in an hour, by the program of their cards ('' where none is known). Each
-- hour that was counted has its row of ''.
CREATE TABLE traffic (
    hour BIGINT NOT NULL,               -- hours since 1970, UTC
    program TEXT NOT NULL,
    items BIGINT NOT NULL,
    PRIMARY KEY (hour, program)
);
