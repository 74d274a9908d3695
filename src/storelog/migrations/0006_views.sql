-- Views with readable names, for people who look at the tables; nothing of Storelog reads them.

-- The log, newest last, without what only machines want.
CREATE VIEW latest_events AS
SELECT position, recorded_at, event_type, aggregate_type || '-' || aggregate_id AS aggregate,
       version, caller, correlation_id, payload
FROM events ORDER BY position DESC;

-- An order from its creation to its deletion, with the sales and returns that it caused. What one
-- command causes stands together in the log, so this reads few rows for one order.
CREATE VIEW order_story AS
SELECT o.aggregate_id AS order_id, e.position, e.recorded_at, e.event_type,
       CASE e.event_type
           WHEN 'OrderCreated' THEN 'ordered for ' || (e.payload ->> 'totalPrice')
               || ' by customer ' || (e.payload ->> 'customerId')
           WHEN 'OrderDeleted' THEN 'order deleted'
           WHEN 'ProductSold' THEN (e.payload ->> 'quantitySold') || ' x '
               || (e.payload ->> 'productName') || ' at ' || (e.payload ->> 'productPrice')
               || ', ' || (e.payload ->> 'remainingStock') || ' left'
           ELSE 'stock given back to ' || (e.payload ->> 'name') || ', '
               || (e.payload ->> 'stock') || ' there now'
       END AS what,
       e.aggregate_type || '-' || e.aggregate_id AS aggregate, e.version, e.caller,
       e.correlation_id
FROM events o
CROSS JOIN LATERAL (
    SELECT count(*) AS lines FROM order_items i WHERE i.order_id = o.aggregate_id
) c
JOIN events e ON e.position BETWEEN o.position AND o.position + c.lines
    AND (e.position = o.position OR (e.payload ->> 'orderId')::bigint = o.aggregate_id)
WHERE o.aggregate_type = 'order';

-- What there is of each product, and what it would bring.
CREATE VIEW product_stock AS
SELECT product_id, name, price, stock, stock_status AS in_stock, price * stock AS stock_value,
       version
FROM products WHERE NOT is_deleted;

-- What each product has brought, orders deleted since left out. Reads every line there is.
CREATE VIEW product_sales AS
SELECT p.product_id, p.name, count(DISTINCT i.order_id) AS orders,
       coalesce(sum(i.quantity), 0) AS units_sold,
       coalesce(sum(i.quantity * i.price), 0) AS sales
FROM products p
LEFT JOIN (order_items i JOIN orders o ON o.order_id = i.order_id AND NOT o.is_deleted)
    ON i.product_id = p.product_id
GROUP BY p.product_id, p.name;

-- An order's lines with the names that go with their ids.
CREATE VIEW order_lines AS
SELECT o.order_id, o.order_date, o.customer_id, c.name AS customer_name, i.item_id, i.product_id,
       i.product_name, i.quantity, i.price, i.quantity * i.price AS line_total, o.is_deleted
FROM orders o
JOIN customers c ON c.customer_id = o.customer_id
JOIN order_items i ON i.order_id = o.order_id;

-- How far the relay is behind the log; the way on to MongoDB is in `storelog lag`.
CREATE VIEW relay_lag AS
SELECT h.position AS written, r.position AS relayed, h.position - r.position AS events_behind,
       coalesce(extract(epoch FROM now() - (
           SELECT recorded_at FROM events WHERE position = r.position + 1)), 0) AS seconds_behind,
       r.epoch AS relay_epoch, r.moved_at
FROM log_head h, relay_cursor r;

-- Who waits for a lock, for whom, and since when.
CREATE VIEW waiting_locks AS
SELECT w.pid, w.application_name AS who_waits, now() - w.query_start AS waits_since,
       left(w.query, 200) AS query, b.pid AS blocking_pid, b.application_name AS who_blocks,
       b.state AS blocking_state, left(b.query, 200) AS blocking_query
FROM pg_stat_activity w
CROSS JOIN LATERAL unnest(pg_blocking_pids(w.pid)) AS blocking(pid)
JOIN pg_stat_activity b ON b.pid = blocking.pid;
