"""Encoders to predictions and scores."""

from __future__ import annotations

from dataclasses import asdict

import pandas as pd

from contrastive_har.learning.compute import ComputeSettings
from contrastive_har.learning.evaluation import EvaluationPlan, evaluate
from contrastive_har.learning.evaluation.trained import TrainedHead
from contrastive_har.learning.pretraining.encoders import EncoderSet, embed
from contrastive_har.scores.cells import Cell
from contrastive_har.scores.statistics import ReportSettings
from contrastive_har.scores.table import score
from contrastive_har.signals.roles import Roles
from contrastive_har.signals.windows import Windows


def evaluate_encoders(
    windows: Windows, roles: Roles, encoders: EncoderSet, plan: EvaluationPlan, compute: ComputeSettings
) -> tuple[pd.DataFrame, pd.DataFrame, list[TrainedHead]]:
    """Train heads on the encoders with every evaluation of the method.

    Returns:
        Predictions, learning curves, and the heads.
    """
    titled = plan.model_copy(update={"name": f"{roles.split} {plan.name}"})
    return evaluate(windows, roles, encoders, titled, compute)


def score_predictions(
    windows: Windows, predictions: pd.DataFrame, learning_curves: pd.DataFrame, *, cell: Cell
) -> pd.DataFrame:
    """Score the predictions of one cell."""
    subjects = windows.table.set_index("window")["subject"]
    names = {"dataset": windows.description.name, **asdict(cell)}
    return score(predictions, learning_curves, subjects, windows.description.class_names, **names)


def embed_test_windows(
    windows: Windows,
    roles: Roles,
    encoders: EncoderSet,
    plan: EvaluationPlan,
    report: ReportSettings,
    compute: ComputeSettings,
) -> pd.DataFrame:
    """Embed a sample of the first repeat's test windows: columns modality, window, class, f0, f1, ...

    Encoders of several modalities give one row for all of them together, with an empty ``modality``, and one for each.
    """
    test = roles.members(0, "test", plan.shown)
    sample = pd.Series(test).sample(min(report.tsne_windows, len(test)), random_state=report.seed).to_numpy()
    backbone, own = encoders.build(0), windows.only(encoders.layout.modalities)
    parts = {
        "": backbone,
        **({name: backbone.only([name]) for name in backbone.channels if len(backbone.channels) > 1}),
    }
    tables = []
    for modality, part in parts.items():
        embeddings = embed(part, own.only(part.channels).signals[sample], compute.resolve()).numpy()
        table = pd.DataFrame(embeddings, columns=[f"f{index}" for index in range(embeddings.shape[1])])
        tables.append(table.assign(modality=modality, window=sample, **{"class": windows.classes()[sample]}))
    return pd.concat(tables, ignore_index=True)
