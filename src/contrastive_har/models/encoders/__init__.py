"""Encoders: normalised windows to embeddings.

To add one: a module with settings and an encoder, and one line in ``EncoderSettings``.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from contrastive_har.models.encoders.aeon import MultiRocketHydraSettings, QuantSettings
from contrastive_har.models.encoders.base import BaseEncoderSettings, Encoder, Sensors
from contrastive_har.models.encoders.co_occurrence import CoOccurrenceSettings
from contrastive_har.models.encoders.conv_autoencoder import ConvAutoencoderSettings
from contrastive_har.models.encoders.conv_bins import ConvBinsSettings
from contrastive_har.models.encoders.conv_gru import ConvGRUSettings
from contrastive_har.models.encoders.deepconvlstm import DeepConvLSTMSettings
from contrastive_har.models.encoders.dilated import DilatedSettings
from contrastive_har.models.encoders.dilated_filters import DilatedFiltersSettings
from contrastive_har.models.encoders.hand_features import HandFeaturesSettings
from contrastive_har.models.encoders.ma_cnn import MACNNSettings
from contrastive_har.models.encoders.minirocket import MiniRocketSettings
from contrastive_har.models.encoders.rocket import RocketSettings
from contrastive_har.models.encoders.spectral import SpectralSettings
from contrastive_har.models.encoders.tarnet import TARNetSettings
from contrastive_har.models.encoders.that import THATSettings
from contrastive_har.models.encoders.tpn import TPNSettings
from contrastive_har.models.encoders.transformer import TransformerSettings
from contrastive_har.models.encoders.tst import TSTSettings

__all__ = ["BaseEncoderSettings", "Encoder", "EncoderSettings", "Sensors"]

EncoderSettings = Annotated[
    TPNSettings
    | TransformerSettings
    | DeepConvLSTMSettings
    | ConvAutoencoderSettings
    | ConvGRUSettings
    | ConvBinsSettings
    | DilatedSettings
    | DilatedFiltersSettings
    | SpectralSettings
    | CoOccurrenceSettings
    | MACNNSettings
    | TSTSettings
    | THATSettings
    | TARNetSettings
    | HandFeaturesSettings
    | RocketSettings
    | MiniRocketSettings
    | MultiRocketHydraSettings
    | QuantSettings,
    Field(discriminator="name"),
]
"""Any encoder, chosen by its ``name`` in configuration; ``build(sensor_channels, length)`` returns it, untrained."""
