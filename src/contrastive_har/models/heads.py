"""Heads: what sits on an encoder's embeddings."""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from contrastive_har.models.encoder import initialise_like_keras


def projection_head(features: int, widths: tuple[int, ...]) -> nn.Sequential:
    """Return the projection head: linear layers of ``widths`` with ReLU between, none after the last."""
    layers: list[nn.Module] = []
    for before, after in pairwise((features, *widths)):
        layers += [initialise_like_keras(nn.Linear(before, after)), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def linear_classifier(features: int, classes: int) -> nn.Linear:
    """Return the linear classifier of every evaluation; its outputs are logits (batch, classes)."""
    return initialise_like_keras(nn.Linear(features, classes))
