"""What the services are made of: a bill of materials, its licences, and known weaknesses."""
