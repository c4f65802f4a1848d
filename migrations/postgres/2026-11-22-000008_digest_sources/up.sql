-- What a keyed digest is made from, so that it can be made anew under another storage key.

ALTER TABLE notifications ADD COLUMN identity_source BYTEA;      -- SEALED
ALTER TABLE card_tokens ADD COLUMN digest_source BYTEA;          -- SEALED; outlives `value`
ALTER TABLE idempotency_keys ADD COLUMN request_source BYTEA;    -- SEALED
