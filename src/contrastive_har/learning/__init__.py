"""Learning: objectives, clusterings, pre-training, and the evaluation of encoders with heads."""
