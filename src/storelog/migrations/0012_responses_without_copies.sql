-- What is remembered of the response to a created entity is where its event is: the body is the
-- event's payload. Rows of earlier releases keep the body that they have.
ALTER TABLE idempotency_keys
    ALTER COLUMN body DROP NOT NULL,
    ADD COLUMN event_position bigint,
    ADD CONSTRAINT idempotency_keys_have_a_body
        CHECK ((body IS NULL) <> (event_position IS NULL)) NOT VALID;

CREATE TYPE response_row AS (
    caller text, key text, request_hash bytea, status smallint, headers json, body bytea,
    event_position bigint, expires_at timestamptz
);

DROP FUNCTION append_batch(bigint, bytea, timestamptz, new_event[], customer_row[], customer_row[],
    product_row[], product_row[], order_row[], item_row[], bigint[], answer_row[], timestamptz);

-- As in 0011, but for the responses.
CREATE FUNCTION append_batch(
    expected_position bigint, expected_hash bytea, new_recorded_at timestamptz,
    new_events new_event[],
    new_customers customer_row[], changed_customers customer_row[],
    new_products product_row[], changed_products product_row[],
    new_orders order_row[], new_items item_row[], deleted_orders bigint[],
    responses response_row[], head_locked_at timestamptz
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
    IF cardinality(responses) > 0 THEN
        DELETE FROM idempotency_keys k USING unnest(responses) r
        WHERE k.caller = r.caller AND k.key = r.key AND k.expires_at < now();
        INSERT INTO idempotency_keys
            (caller, key, request_hash, status, headers, body, event_position, expires_at)
        SELECT * FROM unnest(responses);
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

-- Removes at most so many keys that have expired, those first that did so first, and returns how
-- many it was. One that a batch is replacing is left to it. Runs as its owner: to lock a row takes
-- the right to change it.
CREATE FUNCTION forget_expired_keys(at_most integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    removed integer;
BEGIN
    DELETE FROM idempotency_keys WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM idempotency_keys WHERE expires_at < now()
        ORDER BY expires_at LIMIT at_most FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END $$;
