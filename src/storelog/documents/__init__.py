"""What MongoDB keeps: how the shop's values stand in documents, for writers and readers alike."""
