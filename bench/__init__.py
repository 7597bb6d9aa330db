"""Promised speeds, measured: `make bench`."""
