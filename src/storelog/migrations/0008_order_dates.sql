-- An order is of the years 1900 to 2999. Orders of other dates, which earlier releases took, stay as
-- they are (so the constraint is not validated), and can be deleted.

ALTER TABLE orders ADD CONSTRAINT orders_order_date_check CHECK (is_deleted
    OR order_date >= '1900-01-01T00:00:00Z' AND order_date < '3000-01-01T00:00:00Z') NOT VALID;
