ALTER TABLE idempotency_keys DROP COLUMN request_source;
ALTER TABLE card_tokens DROP COLUMN digest_source;
ALTER TABLE notifications DROP COLUMN identity_source;
