"""pytest's door."""
