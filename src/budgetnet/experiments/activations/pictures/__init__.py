"""The pictures of a study of activations."""
