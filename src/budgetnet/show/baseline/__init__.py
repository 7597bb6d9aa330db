"""The page of a search for a baseline."""
