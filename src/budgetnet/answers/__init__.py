"""The public answers and their time: of a run, of weights, and of an exported file, which needs no torch."""
