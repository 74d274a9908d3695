-- What the relay knows of Kafka's topics (ids, first and last offsets), so that a topic that was
-- emptied, shortened or made again is noticed; and the number of lanes that a change waits for:
-- while it is set, no relay sends.
ALTER TABLE relay_cursor
    ADD COLUMN topics json NOT NULL DEFAULT '{}',
    ADD COLUMN lanes_wanted integer CHECK (lanes_wanted > 0);
