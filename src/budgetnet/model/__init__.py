"""torch starts here: layers, whole models, weights."""
