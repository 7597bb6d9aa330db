"""A comparison's pictures and its page."""
