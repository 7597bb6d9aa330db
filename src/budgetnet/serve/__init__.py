"""Answers over HTTP, without torch: the Open Inference Protocol, and image files as `predict` answers them."""
