"""Changes as they happen: `GET /live`, and the ticket that opens it."""
