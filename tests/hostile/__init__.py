"""Clients that mean harm, or are merely broken: slow, many, and rubbish on the wire."""
