"""Protocols as settings: windows, splits, label budgets, methods and evaluations."""

from __future__ import annotations

from contrastive_har.protocols.checks import IllPosedError, require_evaluable, require_trainable
from contrastive_har.protocols.methods import MethodSettings, RegistrationPlan, ViewsPlan
from contrastive_har.protocols.plans import (
    PLANS,
    ProtocolError,
    evaluation_titles,
    plans_of,
    refinements,
    spells,
    titles,
    vocabulary_of,
)
from contrastive_har.protocols.settings import ProtocolSettings

__all__ = [
    "PLANS",
    "IllPosedError",
    "MethodSettings",
    "ProtocolError",
    "ProtocolSettings",
    "RegistrationPlan",
    "ViewsPlan",
    "evaluation_titles",
    "plans_of",
    "refinements",
    "require_evaluable",
    "require_trainable",
    "spells",
    "titles",
    "vocabulary_of",
]
