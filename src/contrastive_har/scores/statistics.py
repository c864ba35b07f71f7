"""Mean, standard deviation and confidence interval of repeated scores."""

from __future__ import annotations

from importlib import resources

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from contrastive_har.scores.table import CELL, EVERYTHING
from contrastive_har.signals.seeds import derive_seed
from contrastive_har.strict import StrictModel


class ReportSettings(StrictModel):
    """How results are summarised and drawn.

    Attributes:
        confidence: Confidence level of the bootstrap intervals.
        resamples: Number of bootstrap resamples.
        seed: Seed of the bootstrap and of t-SNE.
        tsne_windows: Windows drawn in the t-SNE figure.
        tsne_iterations: Iterations of t-SNE.
        preview_windows: Windows drawn in the augmentation preview.
    """

    confidence: float = Field(default=0.95, gt=0, lt=1)
    resamples: int = Field(default=10_000, gt=0)
    seed: int = Field(default=0, ge=0)
    tsne_windows: int = Field(default=1000, gt=0)
    tsne_iterations: int = Field(default=1000, ge=250)  # scikit-learn takes no fewer
    preview_windows: int = Field(default=4, gt=0)


def bootstrap_interval(
    values: NDArray[np.float64], confidence: float, resamples: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of the mean of ``values``; NaN for a single value."""
    if len(values) < 2:
        return float("nan"), float("nan")
    means = rng.choice(values, (resamples, len(values))).mean(1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def summarise(scores: pd.DataFrame, published: pd.DataFrame, settings: ReportSettings) -> pd.DataFrame:
    """Return one row per cell and metric: repeats, mean, sd, interval, published value and difference.

    Args:
        scores: Long scores; only whole test sets are summarised.
        published: Published numbers, from :func:`read_published`.
        settings: Confidence level and number of resamples.
    """
    keys = [*CELL, "metric"]
    rows = []
    for values, group in scores[scores["group"] == EVERYTHING].groupby(keys, sort=False):
        repeats = group["value"].to_numpy()
        rng = np.random.default_rng(derive_seed(settings.seed, *values))
        low, high = bootstrap_interval(repeats, settings.confidence, settings.resamples, rng)
        rows.append(
            {
                **dict(zip(keys, values, strict=True)),
                "repeats": len(repeats),
                "mean": repeats.mean(),
                "sd": repeats.std(ddof=1) if len(repeats) > 1 else float("nan"),
                "low": low,
                "high": high,
            }
        )
    summary = pd.DataFrame(rows).merge(published, how="left", on=keys, validate="one_to_one")
    return summary.assign(difference=summary["mean"] - summary["published"])


def read_published() -> pd.DataFrame:
    """Return the published numbers by cell and metric, in 0..1, each with its source."""
    with resources.files("contrastive_har.scores").joinpath("data/published.csv").open(encoding="utf-8") as file:
        table = pd.read_csv(file)
    return table.assign(published=table["percent"] / 100).drop(columns=["percent"])
