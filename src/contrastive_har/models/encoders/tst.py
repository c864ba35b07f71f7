"""TST, a transformer over time (Zerveas et al. 2021, arXiv 2010.02803)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from contrastive_har.models.encoders.transformer import BaseTransformerSettings


class TSTSettings(BaseTransformerSettings):
    """The encoder of :class:`TransformerSettings` in TST's shape.

    A linear layer at each sample (a convolution of length one), learned positions, three layers with batch
    normalisation and GELU, and the outputs at all samples side by side. As published except that attention is not
    dropped, unless ``attention_dropout`` is set. The published code, unlike the paper, also scales the outputs of the
    linear layer and applies GELU to those of the last one.
    """

    name: Literal["tst"] = "tst"
    channels: tuple[int, ...] = (64,)
    kernels: tuple[int, ...] = (1,)
    batch_norm: bool = False
    positions: Literal["sinusoidal", "learned"] = "learned"
    layers: int = Field(default=3, gt=0)
    feedforward: int = Field(default=256, gt=0)
    feedforward_activation: Literal["relu", "gelu"] = "gelu"
    normalisation: Literal["layer", "batch"] = "batch"
    attention_dropout: bool = False
