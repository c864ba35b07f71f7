"""Learning: objectives, clusterings, methods, the pre-training loop and the classifiers that judge an encoder."""
