"""Pre-training objectives; each module here holds one family.

To add one: a module with settings and an objective, and one line in ``ObjectiveSettings``.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from contrastive_har.learning.objectives.base import BaseObjectiveSettings, Objective, Step, StepResult
from contrastive_har.learning.objectives.contrastive import ContrastiveSettings
from contrastive_har.learning.objectives.knowledge_mining import KnowledgeMiningSettings
from contrastive_har.learning.objectives.memory import MoCoSettings, NNCLRSettings
from contrastive_har.learning.objectives.multi_task import MultiTaskSettings
from contrastive_har.learning.objectives.prediction import BYOLSettings, MSFSettings, SimSiamSettings, TTLSettings
from contrastive_har.learning.objectives.predictive import PredictiveCodingSettings
from contrastive_har.learning.objectives.reconstruction import AutoencodingSettings, MaskedReconstructionSettings
from contrastive_har.learning.objectives.redundancy import VICRegSettings
from contrastive_har.learning.objectives.swapping import SwAVSettings
from contrastive_har.learning.objectives.ts2vec import TS2VecSettings
from contrastive_har.learning.objectives.untrained import UntrainedSettings

__all__ = ["BaseObjectiveSettings", "Objective", "ObjectiveSettings", "Step", "StepResult"]

ObjectiveSettings = Annotated[
    ContrastiveSettings
    | KnowledgeMiningSettings
    | MoCoSettings
    | NNCLRSettings
    | BYOLSettings
    | SimSiamSettings
    | MSFSettings
    | TTLSettings
    | SwAVSettings
    | VICRegSettings
    | TS2VecSettings
    | MultiTaskSettings
    | AutoencodingSettings
    | MaskedReconstructionSettings
    | PredictiveCodingSettings
    | UntrainedSettings,
    Field(discriminator="name"),
]
"""Any objective, chosen by its ``name`` in configuration."""
