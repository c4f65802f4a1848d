ALTER TABLE registrations DROP COLUMN tokens;
DROP INDEX outbox_commands;
ALTER TABLE outbox DROP COLUMN command_order;
ALTER TABLE outbox DROP COLUMN token_id;
ALTER TABLE outbox DROP COLUMN command;
DROP TABLE card_tokens;
