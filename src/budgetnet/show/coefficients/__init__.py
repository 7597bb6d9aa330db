"""The page of a search for coefficients."""
