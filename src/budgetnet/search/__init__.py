"""Searches: they take the score as a callable and know nothing of training."""
