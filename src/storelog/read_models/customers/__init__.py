"""Who buys: GET /customers. Next: read_models/customers/model.py"""
