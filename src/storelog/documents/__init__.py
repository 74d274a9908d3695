"""MongoDB's documents: how the shop's values are stored in them, for writers and readers alike."""
