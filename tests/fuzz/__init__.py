"""Schemathesis over the documents of both services, behind one address."""
