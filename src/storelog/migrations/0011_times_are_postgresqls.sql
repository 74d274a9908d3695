-- The times in the log are PostgreSQL's. A service stamps a batch just before it sends it, by what
-- it knows of this clock; whether that was right is looked at here, once the head's row is locked.

-- Up to this time the log is known to be whole: somebody was told so who held the head.
ALTER TABLE log_head ADD COLUMN settled_at timestamptz NOT NULL DEFAULT '-infinity';

-- As in 0002, which stays for services of the release before. `new_recorded_at` must not be ahead of
-- the clock, nor more than half a second older than the moment at which the head was locked:
-- `head_locked_at` if this transaction did so before, else now. Nor may it be before the last event
-- or before what is settled; where the clock is behind those, it must be the later of them. Else the
-- batch is refused (SL002; the detail is this clock in seconds since 1970), and is stamped again.
CREATE FUNCTION append_batch(
    expected_position bigint, expected_hash bytea, new_recorded_at timestamptz,
    new_events new_event[],
    new_customers customer_row[], changed_customers customer_row[],
    new_products product_row[], changed_products product_row[],
    new_orders order_row[], new_items item_row[], deleted_orders bigint[],
    answers answer_row[], head_locked_at timestamptz
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    count_of_events integer := cardinality(new_events);
    last_time timestamptz;
    oldest timestamptz;
BEGIN
    SELECT greatest(recorded_at, settled_at) INTO last_time FROM log_head
    WHERE position = expected_position AND hash = expected_hash FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the head of the log has moved' USING ERRCODE = 'SL001';
    END IF;

    IF count_of_events > 0 THEN
        oldest := coalesce(head_locked_at, clock_timestamp()) - interval '500 milliseconds';
        IF new_recorded_at < greatest(oldest, last_time)
            OR new_recorded_at > greatest(clock_timestamp(), last_time)
        THEN
            RAISE EXCEPTION 'the time % of a batch is not the present', new_recorded_at
                USING ERRCODE = 'SL002', DETAIL = extract(epoch FROM clock_timestamp())::text;
        END IF;
        UPDATE log_head SET
            position = expected_position + count_of_events,
            hash = (new_events[count_of_events]).hash,
            recorded_at = new_recorded_at;
    END IF;

    IF cardinality(new_customers) > 0 THEN
        INSERT INTO customers (customer_id, name, email, phone_number, version, is_deleted)
        SELECT * FROM unnest(new_customers);
    END IF;
    IF cardinality(changed_customers) > 0 THEN
        UPDATE customers c SET name = n.name, email = n.email, phone_number = n.phone_number,
            version = n.version, is_deleted = n.is_deleted
        FROM unnest(changed_customers) n WHERE c.customer_id = n.customer_id;
    END IF;
    IF cardinality(new_products) > 0 THEN
        INSERT INTO products (product_id, name, price, stock, version, is_deleted)
        SELECT * FROM unnest(new_products);
    END IF;
    IF cardinality(changed_products) > 0 THEN
        UPDATE products p SET name = n.name, price = n.price, stock = n.stock,
            version = n.version, is_deleted = n.is_deleted
        FROM unnest(changed_products) n WHERE p.product_id = n.product_id;
    END IF;
    IF cardinality(new_orders) > 0 THEN
        INSERT INTO orders (order_id, order_date, customer_id, total_price, version)
        SELECT *, 1 FROM unnest(new_orders);
        INSERT INTO order_items (item_id, order_id, product_id, product_name, quantity, price)
        SELECT * FROM unnest(new_items);
    END IF;
    IF cardinality(deleted_orders) > 0 THEN
        UPDATE orders SET is_deleted = true, version = version + 1
        WHERE order_id = ANY (deleted_orders);
    END IF;
    IF cardinality(answers) > 0 THEN
        DELETE FROM idempotency_keys k USING unnest(answers) a
        WHERE k.caller = a.caller AND k.key = a.key AND k.expires_at < now();
        INSERT INTO idempotency_keys
            (caller, key, request_hash, status, headers, body, expires_at)
        SELECT * FROM unnest(answers);
    END IF;
    IF count_of_events > 0 THEN
        INSERT INTO events (position, hash, event_id, aggregate_type, aggregate_id, version,
            event_type, schema_version, payload, payload_hash, occurred_at, recorded_at,
            correlation_id, causation_id, caller, traceparent)
        SELECT expected_position + place, hash, event_id, aggregate_type, aggregate_id, version,
            event_type, schema_version, payload, payload_hash, occurred_at, new_recorded_at,
            correlation_id, causation_id, caller, traceparent
        FROM unnest(new_events) WITH ORDINALITY AS e (hash, event_id, aggregate_type, aggregate_id,
            version, event_type, schema_version, payload, payload_hash, occurred_at,
            correlation_id, causation_id, caller, traceparent, place);
        PERFORM pg_notify('storelog_events', '');
    END IF;
END $$;

-- Returns the time of this clock at which the log ended with `last_position`; null where the log goes
-- on after it or is being written to. Whatever comes later is recorded less than half a second before
-- that time, or after it, even if the clock is set back. Runs as its owner, who may write to the head.
CREATE FUNCTION log_ended_at(last_position bigint) RETURNS timestamptz
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    ended_at timestamptz;
BEGIN
    PERFORM FROM log_head WHERE position = last_position FOR UPDATE SKIP LOCKED;
    IF FOUND THEN
        ended_at := clock_timestamp();
        UPDATE log_head SET settled_at = greatest(settled_at,
            date_trunc('milliseconds', ended_at) - interval '500 milliseconds');
    END IF;
    RETURN ended_at;
END $$;

-- By when an event was decided: when it was recorded can be ahead of the clock (see above).
CREATE OR REPLACE VIEW relay_lag AS
SELECT h.position AS written, r.position AS relayed, h.position - r.position AS events_behind,
       coalesce(extract(epoch FROM clock_timestamp() - (
           SELECT occurred_at FROM events WHERE position = r.position + 1)), 0) AS seconds_behind,
       r.epoch AS relay_epoch, r.moved_at
FROM log_head h, relay_cursor r;
