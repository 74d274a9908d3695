"""What was ordered: GET /orders. Next: read_models/orders/model.py"""
