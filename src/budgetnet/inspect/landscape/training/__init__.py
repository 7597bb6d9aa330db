"""A study of twins in training: its words, its pictures, its part of the page."""
