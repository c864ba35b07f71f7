"""Use of trained models: recognisers, timelines of new recordings, export."""
