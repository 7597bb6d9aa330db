"""The page of a whole chain of searches."""
