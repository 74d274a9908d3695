"""Programs that drive the HTTP API from outside: the retail import and the demo shop."""
