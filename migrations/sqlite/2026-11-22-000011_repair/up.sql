-- What recomputing a card needs beside its recorded inputs, and maintenance.

-- Decisions on the item before it was judged anew: their places among the card's inputs, as JSON.
ALTER TABLE notifications ADD COLUMN earlier TEXT;
-- The replay's place among the card's inputs; none where the item's own row tells it.
ALTER TABLE replays ADD COLUMN card_order BIGINT;

-- At most one row: while it is there nothing that waits is processed, or only so much of it.
CREATE TABLE maintenance (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    reason TEXT NOT NULL,
    operator TEXT NOT NULL,
    at BIGINT NOT NULL,
    drain_rate INTEGER,                 -- it has ended: deliveries a second until none waits
    next_at BIGINT NOT NULL             -- while it drains: nothing more before this
);
