"""Contrastive HAR: human activity recognition from wearable sensors with very few labels."""

__version__ = "0.1.0"
