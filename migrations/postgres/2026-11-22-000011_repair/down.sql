DROP TABLE maintenance;
ALTER TABLE replays DROP COLUMN card_order;
ALTER TABLE notifications DROP COLUMN earlier;
