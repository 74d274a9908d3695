"""The products: GET /products. Next: read_models/products/model.py"""
