"""Recordings to windows and their roles."""

from __future__ import annotations

from typing import Any

import pandas as pd

from contrastive_har.learning.protocols import ProtocolSettings
from contrastive_har.signals import leakage, splits
from contrastive_har.signals.engines import EngineSettings
from contrastive_har.signals.recordings import Recordings
from contrastive_har.signals.windows import Windows, WindowStream, cut_windows


def cut(recordings: Recordings, protocol: ProtocolSettings, engine: EngineSettings) -> WindowStream:
    """Cut recordings into windows of one activity each.

    Raises:
        IllPosedError: if the windows are too short for an encoder, before anything is computed.
    """
    windows = protocol.windows_for(recordings.description.name)
    length, _ = windows.in_samples(recordings.description.sampling_rate_hz)
    for method in protocol.methods:
        protocol.require_length(method, length, recordings.description.name)
    return cut_windows(recordings, windows, engine)


def assign_roles(windows: Windows, protocol: ProtocolSettings, seed: int) -> pd.DataFrame:
    """Decide who pre-trains, trains, validates and tests, for every split, repeat and label fraction.

    Raises:
        IllPosedError: if a method could not learn from so few windows, before anything is trained.
    """
    roles = splits.assign_roles(windows, protocol.splits, protocol.label_fractions, protocol.repeats, seed)
    pretrain = roles[roles["role"] == "pretrain"].groupby(["split", "repeat"]).size()
    shape = (windows.length, len(windows.description.channels))
    for method in protocol.methods:
        protocol.require_trainable(method, pretrain.tolist(), shape, len(windows.description.recognised))
    return roles


def audit_leakage(windows: Windows, roles: pd.DataFrame, protocol: ProtocolSettings) -> dict[str, Any]:
    """Count what test windows share with everything else; fail where a split wrongly claims to be leak-free."""
    report = leakage.count_leakage(windows, roles, protocol.splits)
    leakage.require_leak_free(report)
    return report
