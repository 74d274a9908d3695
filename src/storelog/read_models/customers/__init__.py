"""The customers: GET /customers. Next: read_models/customers/model.py"""
