"""The endpoints: their parameters, handlers, responses and schemas."""
