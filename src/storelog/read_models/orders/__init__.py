"""The orders: GET /orders. Next: read_models/orders/model.py"""
