"""What is sold: GET /products. Next: read_models/products/model.py"""
