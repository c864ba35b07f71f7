"""Labelling: which windows to label, the answers of people, and when to stop."""
