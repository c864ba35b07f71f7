"""Runs: what belongs to one run, what a run was, and how it goes on after a crash."""
