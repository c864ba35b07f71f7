"""Scores: metrics, the long table of scores, statistics and comparisons."""
