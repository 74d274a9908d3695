"""What each event does to the read model, in memory."""
