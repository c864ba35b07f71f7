"""Protocols as settings: windows, splits, label budgets, methods and evaluations."""

from __future__ import annotations

from contrastive_har.protocols.checks import IllPosedError, require_trainable
from contrastive_har.protocols.plans import PLANS, ProtocolError, is_protocol, plans_of, refinements, titles
from contrastive_har.protocols.settings import MethodSettings, ProtocolSettings, ViewsPlan

__all__ = [
    "PLANS",
    "IllPosedError",
    "MethodSettings",
    "ProtocolError",
    "ProtocolSettings",
    "ViewsPlan",
    "is_protocol",
    "plans_of",
    "refinements",
    "require_trainable",
    "titles",
]
