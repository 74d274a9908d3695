"""What was sold, a line each: GET /product-sold. Next: read_models/product_sold/model.py"""
