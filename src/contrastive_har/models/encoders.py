"""The encoders there are, chosen by name in configuration."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from contrastive_har.models.conv_autoencoder import ConvAutoencoderSettings
from contrastive_har.models.conv_gru import ConvGRUSettings
from contrastive_har.models.deepconvlstm import DeepConvLSTMSettings
from contrastive_har.models.tpn import TPNSettings
from contrastive_har.models.transformer import TransformerSettings

EncoderSettings = Annotated[
    TPNSettings | TransformerSettings | DeepConvLSTMSettings | ConvAutoencoderSettings | ConvGRUSettings,
    Field(discriminator="name"),
]
"""Any encoder's shape; ``build(sensor_channels, length)`` makes it, untrained."""
