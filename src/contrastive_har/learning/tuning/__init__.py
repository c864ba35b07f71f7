"""Tuning: every row tries the same number of settings, chooses by its validation windows, and is tested once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from contrastive_har.learning.compute import ComputeSettings
from contrastive_har.learning.evaluation import evaluate
from contrastive_har.learning.pretraining import pretrain
from contrastive_har.learning.pretraining.encoders import EncoderSet
from contrastive_har.learning.tuning.plans import SearchSettings, TrialPlan
from contrastive_har.scores.cells import parse_evaluation
from contrastive_har.scores.tuning import SETTINGS
from contrastive_har.signals.roles import Roles
from contrastive_har.signals.windows import Windows

__all__ = ["TRIAL_COLUMNS", "SearchSettings", "TrialPlan", "evaluate_settings", "try_setting"]

TRIAL_COLUMNS = ["evaluation", "repeat", "trial", "setting", "validation_macro_f1"]
"""Columns of a table of trials; ``setting`` has the values drawn, by name, as JSON."""


def try_setting(
    windows: Windows, roles: Roles, plan: TrialPlan, compute: ComputeSettings, checkpoints: Path | None = None
) -> tuple[pd.DataFrame, EncoderSet]:
    """Pre-train with the setting of one trial, and score it on the validation windows of every repeat.

    Nothing is learned from test windows or scored on them: they have no role here.

    Args:
        windows: All windows, raw, with their labels.
        roles: Roles of the windows.
        plan: The trial.
        compute: Device, precision and processes.
        checkpoints: Folder of the checkpoints of all trainings, as for :func:`pretrain`.

    Returns:
        One row per evaluation and repeat: ``TRIAL_COLUMNS``; and the encoders.
    """
    drawn, unseen = plan.drawn(), roles.without("test")
    pretraining, evaluation = plan.plans(drawn)
    title = {"name": f"{roles.split} {plan.pretraining.name}, trial {plan.number}"}
    members = [unseen.members(repeat, "pretrain") for repeat in range(pretraining.repeats)]
    encoders, _ = pretrain(windows, members, pretraining.model_copy(update=title), compute, checkpoints)
    smallest = evaluation.model_copy(update={**title, "label_budgets": (evaluation.shown,)})
    _, _, heads = evaluate(windows, unseen, encoders, smallest, compute)
    rows = [
        (head.facts.evaluation, head.facts.repeat, plan.number, json.dumps(drawn), head.facts.validation_macro_f1)
        for head in heads
    ]
    return pd.DataFrame(rows, columns=TRIAL_COLUMNS), encoders


def evaluate_settings(
    windows: Windows,
    roles: Roles,
    plan: TrialPlan,
    trials: pd.DataFrame,
    encoders: Mapping[int, EncoderSet],
    compute: ComputeSettings,
) -> dict[str, tuple[pd.DataFrame, pd.DataFrame]]:
    """Evaluate the row as configured and as tuned on the test windows, with all label budgets.

    Heads are trained again, with the seeds of the trials. No other setting meets test windows.

    Args:
        windows: All windows, raw, with their labels.
        roles: Roles of the windows.
        plan: Any trial of the row.
        trials: All trials of the row: ``TRIAL_COLUMNS``, and whether each is ``chosen``.
        encoders: Encoders by trial.
        compute: Device and precision.

    Returns:
        Predictions and learning curves, as of :func:`evaluate`, of each of ``SETTINGS``.
    """
    evaluated = {}
    for number, tried in trials[trials["chosen"] | (trials["trial"] == 0)].groupby("trial"):
        _, evaluation = plan.plans(json.loads(tried["setting"].iloc[0]))
        names = {parse_evaluation(name)[0] for name in tried["evaluation"]}
        chosen = evaluation.model_copy(
            update={
                "name": f"{roles.split} {plan.pretraining.name}, trial {number}",
                "evaluations": {name: one for name, one in evaluation.evaluations.items() if name in names},
                "repeats": tuple(np.unique(tried["repeat"]).tolist()),
            }
        )
        evaluated[number] = evaluate(windows, roles, encoders[number], chosen, compute)[:2]
    by_setting = dict(zip(SETTINGS, (trials[trials["trial"] == 0], trials[trials["chosen"]]), strict=True))
    return {
        setting: (_of_trials(rows, evaluated, 0), _of_trials(rows, evaluated, 1))
        for setting, rows in by_setting.items()
    }


def _of_trials(
    trials: pd.DataFrame, evaluated: Mapping[int, tuple[pd.DataFrame, pd.DataFrame]], index: int
) -> pd.DataFrame:
    """Return the rows of one of the tables of each trial, of the evaluations and repeats for which it stands."""
    keys = ["evaluation", "repeat"]
    parts = [evaluated[number][index].merge(rows[keys], on=keys) for number, rows in trials.groupby("trial")]
    return pd.concat(parts, ignore_index=True)
