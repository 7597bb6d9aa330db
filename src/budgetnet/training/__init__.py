"""Learning: images, recipes, training, evaluation."""
