"""The sales, one for each order line: GET /product-sold. Next: read_models/product_sold/model.py"""
