"""Encoders, heads, and networks built of them."""
