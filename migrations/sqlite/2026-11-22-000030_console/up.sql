-- What was done to one card, call or notification, in order: the timeline asks for it.
CREATE INDEX audit_by_object ON audit (object, at);
-- Cards are counted and searched by status.
CREATE INDEX cards_by_status ON cards (status, id);
