"""What both HTTP services share: routing, problems, health, limits, keys."""
