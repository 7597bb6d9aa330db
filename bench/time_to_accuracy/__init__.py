"""Accuracy against wall clock and against multiply-adds: our trainings and a strong plain rival's, side by side."""
