"""Runs: sessions, versions, manifests and logs of runs, and how a run is resumed after a crash."""
