"""Changes as they happen: `GET /live`, and the tickets that authorize it."""
