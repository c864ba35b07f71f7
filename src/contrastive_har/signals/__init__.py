"""Recordings, windows, splits and views: everything between a raw file and a training batch."""
