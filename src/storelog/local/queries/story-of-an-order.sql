-- What happened to one order; put its id in place of 1.
SELECT * FROM order_story WHERE order_id = 1 ORDER BY position;
