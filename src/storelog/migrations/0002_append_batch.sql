-- One call writes a whole batch of decided commands, if the log's head is still the one that the
-- decisions were made on. All state comes from the log, so an unmoved head means unmoved state.

CREATE TYPE new_event AS (
    hash bytea, event_id uuid, aggregate_type text, aggregate_id bigint, version integer,
    event_type text, schema_version integer, payload json, payload_hash bytea,
    occurred_at timestamptz, correlation_id text, causation_id text, caller text, traceparent text
);
CREATE TYPE customer_row AS (
    customer_id bigint, name text, email text, phone_number text, version integer,
    is_deleted boolean
);
CREATE TYPE product_row AS (
    product_id bigint, name text, price numeric, stock integer, version integer, is_deleted boolean
);
CREATE TYPE order_row AS (
    order_id bigint, order_date timestamptz, customer_id bigint, total_price numeric
);
CREATE TYPE item_row AS (
    item_id bigint, order_id bigint, product_id bigint, product_name text, quantity integer,
    price numeric
);
CREATE TYPE answer_row AS (
    caller text, key text, request_hash bytea, status smallint, headers json, body bytea,
    expires_at timestamptz
);

CREATE FUNCTION append_batch(
    expected_position bigint, expected_hash bytea, new_recorded_at timestamptz,
    new_events new_event[],
    new_customers customer_row[], changed_customers customer_row[],
    new_products product_row[], changed_products product_row[],
    new_orders order_row[], new_items item_row[], deleted_orders bigint[],
    answers answer_row[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    count_of_events integer := cardinality(new_events);
BEGIN
    UPDATE log_head SET
        position = expected_position + count_of_events,
        hash = CASE WHEN count_of_events = 0 THEN expected_hash
                    ELSE (new_events[count_of_events]).hash END,
        recorded_at = new_recorded_at
    WHERE position = expected_position AND hash = expected_hash;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the head of the log has moved' USING ERRCODE = 'SL001';
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
