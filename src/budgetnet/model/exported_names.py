"""What exported files call the labels and the notes that they carry: for those who write them, and who read them."""

from __future__ import annotations

LABELS, NOTES = "labels.txt", "budgetnet.json"
"""Labels and notes have these names where a format keeps them as files."""
NOTES_FORMAT = "budgetnet.export.v1"
