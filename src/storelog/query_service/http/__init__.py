"""The endpoints: what a client may ask, and how the response stands."""
