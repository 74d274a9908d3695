-- What each product has brought. Reads every order line.
SELECT * FROM product_sales ORDER BY sales DESC LIMIT 100;
