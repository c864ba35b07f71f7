"""Encoders to predictions and scores."""

from __future__ import annotations

import pandas as pd

from contrastive_har.learning.classification import evaluate
from contrastive_har.learning.classifiers import TrainedClassifier
from contrastive_har.learning.compute import ComputeSettings
from contrastive_har.learning.protocols import ProtocolSettings
from contrastive_har.learning.trained_encoders import EncoderSet, embed
from contrastive_har.reports.scores import score
from contrastive_har.reports.statistics import ReportSettings
from contrastive_har.signals.splits import windows_with_role
from contrastive_har.signals.windows import Windows


def evaluate_encoders(
    windows: Windows,
    splits: pd.DataFrame,
    encoders: EncoderSet,
    protocol: ProtocolSettings,
    compute: ComputeSettings,
    seed: int,
    *,
    split: str,
    method: str,
) -> tuple[pd.DataFrame, pd.DataFrame, list[TrainedClassifier]]:
    """Train classifiers on the encoders by every evaluation the method asks for.

    Returns:
        Predictions, learning curves, and the classifiers.
    """
    return evaluate(
        signals=windows.signals,
        classes=windows.classes(),
        splits=splits,
        split=split,
        encoders=encoders,
        evaluations={name: protocol.evaluations[name] for name in protocol.methods[method].evaluations},
        fractions=protocol.label_fractions,
        compute=compute,
        seed=seed,
        title=f"{split} {method}",
    )


def score_predictions(
    windows: Windows, predictions: pd.DataFrame, learning_curves: pd.DataFrame, **cell: str
) -> pd.DataFrame:
    """Score the predictions of one ``method`` on one ``split`` of a ``protocol``."""
    return score(
        predictions,
        learning_curves,
        windows.table.set_index("window")["subject"],
        windows.description.class_names,
        dataset=windows.description.name,
        **cell,
    )


def embed_test_windows(
    windows: Windows,
    splits: pd.DataFrame,
    encoders: EncoderSet,
    protocol: ProtocolSettings,
    report: ReportSettings,
    compute: ComputeSettings,
    *,
    split: str,
) -> pd.DataFrame:
    """Embed a sample of the first repeat's test windows: columns window, class, f0, f1, ..."""
    test = windows_with_role(splits, split, 0, "test", protocol.fewest_labels)
    sample = pd.Series(test).sample(min(report.tsne_windows, len(test)), random_state=report.seed).to_numpy()
    signals = encoders.encoders[0].normalisation(windows.signals[sample])
    embeddings = embed(encoders.build(0), signals, compute.inference_batch).numpy()
    table = pd.DataFrame(embeddings, columns=[f"f{index}" for index in range(embeddings.shape[1])])
    return table.assign(window=sample, **{"class": windows.classes()[sample]})


def combine_scores(*scores: pd.DataFrame) -> pd.DataFrame:
    """Put the scores of all splits and methods into one long table."""
    return pd.concat(scores, ignore_index=True)
