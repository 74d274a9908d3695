-- Which entities and events there are, the code declares (shop/events.py): another one needs no SQL.
ALTER TABLE events
    DROP CONSTRAINT events_event_type_check,
    DROP CONSTRAINT events_aggregate_type_check;

-- The function of 0002 was for services of two releases ago. That of 0012 stays for services that run
-- while this release is installed; since then each release has one of its own, made from the same
-- declarations (append_batch.py).
DROP FUNCTION append_batch(bigint, bytea, timestamptz, new_event[], customer_row[], customer_row[],
    product_row[], product_row[], order_row[], item_row[], bigint[], answer_row[]);
DROP TYPE answer_row;
