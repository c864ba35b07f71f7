"""Encoders and heads, and the networks they make together."""
