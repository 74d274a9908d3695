-- The stock of each product, what is short first.
SELECT * FROM product_stock ORDER BY stock, product_id LIMIT 500;
