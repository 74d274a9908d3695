CREATE TYPE customers_row_8641d7ec AS (
    customer_id bigint,
    name text,
    email text,
    phone_number text,
    version integer,
    is_deleted boolean
);
CREATE TYPE products_row_8641d7ec AS (
    product_id bigint,
    name text,
    price numeric,
    stock integer,
    sku text,
    version integer,
    is_deleted boolean
);
CREATE TYPE orders_row_8641d7ec AS (
    order_id bigint,
    order_date timestamptz,
    customer_id bigint,
    total_price numeric,
    version integer,
    is_deleted boolean
);
CREATE TYPE order_items_row_8641d7ec AS (
    item_id bigint,
    order_id bigint,
    product_id bigint,
    product_name text,
    quantity integer,
    price numeric
);

-- Writes a whole batch of decided commands, if the log's head is still the one that the decisions were
-- made on (else SL001). `new_recorded_at` must not be ahead of the clock, nor more than half a second
-- older than the moment at which the head was locked: `head_locked_at` if this transaction did so
-- before, else now. Nor may it be before the last event or before what is settled; where the clock is
-- behind those, it must be the later of them. Else the batch is refused (SL002; the detail is this
-- clock in seconds since 1970), and is stamped again. Rows are found by their keys (`enable_seqscan`): a
-- connection keeps the plan that it made while a table was small, while the table grows.
CREATE FUNCTION append_batch_8641d7ec(
    expected_position bigint, expected_hash bytea, new_recorded_at timestamptz,
    new_events new_event[],
    new_customers customers_row_8641d7ec[],
    changed_customers customers_row_8641d7ec[],
    new_products products_row_8641d7ec[],
    changed_products products_row_8641d7ec[],
    new_orders orders_row_8641d7ec[],
    changed_orders orders_row_8641d7ec[],
    new_order_items order_items_row_8641d7ec[],
    responses response_row[], head_locked_at timestamptz
) RETURNS void LANGUAGE plpgsql SET enable_seqscan = off AS $$
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
        UPDATE customers t SET
            name = n.name,
            email = n.email,
            phone_number = n.phone_number,
            version = n.version,
            is_deleted = n.is_deleted
        FROM unnest(changed_customers) n WHERE t.customer_id = n.customer_id;
    END IF;
    IF cardinality(new_products) > 0 THEN
        INSERT INTO products (product_id, name, price, stock, sku, version, is_deleted)
        SELECT * FROM unnest(new_products);
    END IF;
    IF cardinality(changed_products) > 0 THEN
        UPDATE products t SET
            name = n.name,
            price = n.price,
            stock = n.stock,
            sku = n.sku,
            version = n.version,
            is_deleted = n.is_deleted
        FROM unnest(changed_products) n WHERE t.product_id = n.product_id;
    END IF;
    IF cardinality(new_orders) > 0 THEN
        INSERT INTO orders (order_id, order_date, customer_id, total_price, version, is_deleted)
        SELECT * FROM unnest(new_orders);
    END IF;
    IF cardinality(changed_orders) > 0 THEN
        UPDATE orders t SET
            order_date = CASE n.order_date WHEN '-infinity' THEN timestamptz '0001-01-01T00:00:00Z' ELSE n.order_date END,
            customer_id = n.customer_id,
            total_price = n.total_price,
            version = n.version,
            is_deleted = n.is_deleted
        FROM unnest(changed_orders) n WHERE t.order_id = n.order_id;
    END IF;
    IF cardinality(new_order_items) > 0 THEN
        INSERT INTO order_items (item_id, order_id, product_id, product_name, quantity, price)
        SELECT * FROM unnest(new_order_items);
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
