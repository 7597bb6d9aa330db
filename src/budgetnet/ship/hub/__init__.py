"""Folders for the Hugging Face hub: weights with a model card, for timm where that has the network."""
