-- What recomputing a card needs beside its recorded inputs: an item may be decided more than once.

-- Decisions on the item before it was judged anew: their places among the card's inputs, as JSON.
ALTER TABLE notifications ADD COLUMN earlier TEXT;
-- The replay's place among the card's inputs; none where the item's own row tells it.
ALTER TABLE replays ADD COLUMN card_order BIGINT;
