-- Tokens of programs whose cards have tokens of their own, and the commands that change their status.

-- The text of a token; its registers stand in its card's `state`.
CREATE TABLE card_tokens (
    id TEXT NOT NULL PRIMARY KEY,
    card_id TEXT NOT NULL REFERENCES cards (id),
    digest TEXT NOT NULL UNIQUE,        -- keyed hash of the text
    value BLOB,                         -- SEALED; wiped when the token or its card ends
    relinking BOOLEAN NOT NULL          -- waits to be linked to a replaced card
);
CREATE INDEX card_tokens_by_card ON card_tokens (card_id);
CREATE INDEX card_tokens_relinking ON card_tokens (card_id) WHERE relinking;

-- A token command: what is wanted, for which token (none: all of the card), and its place among the
-- commands of its card, which are carried out in this order.
ALTER TABLE outbox ADD COLUMN command TEXT;
ALTER TABLE outbox ADD COLUMN token_id TEXT;
ALTER TABLE outbox ADD COLUMN command_order BIGINT;
CREATE INDEX outbox_commands ON outbox (card_id, command_order) WHERE command IS NOT NULL;

-- The tokens that a registration named, by our ids for them, as JSON.
ALTER TABLE registrations ADD COLUMN tokens TEXT;
